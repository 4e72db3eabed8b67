"""The programs that know tasks, behind one interface: how to call one, how far it is, what came out of it.

The table has one entry for each module. A task names its module itself (`lm-eval`, `command`, ...), or by the file of
its harness in `config/harnesses/`. A name that is not in the table can be planned and not run.
"""

from collections.abc import Mapping

from snakeval.errors import ExtensionError, Problem
from snakeval.harnesses.base import Harness
from snakeval.system.extensions import load_class

TABLE = "scripts/snakeval/harnesses/__init__.py"
# Classes as `Harness`, made without arguments and loaded when they are used.
HARNESSES: Mapping[str, str] = {
    "lm-eval": "snakeval.harnesses.lm_eval:LmEvalHarness",
    "command": "snakeval.harnesses.command:CommandHarness",
    "nemo-evaluator": "snakeval.harnesses.nemo_evaluator:NemoEvaluatorHarness",
    "inspect": "snakeval.harnesses.inspect:InspectHarness",
    "inspect_evals": "snakeval.harnesses.inspect:InspectHarness",
}


def harness_of(name: str) -> Harness:
    """Return the harness module of this name.

    Raises:
        ExtensionError: there is none, or it is incomplete.
    """
    if name not in HARNESSES:
        hint = f"add the entry {name!r}, or name another `module` in config/harnesses/"
        raise ExtensionError(Problem(TABLE, "has no entry for a harness", name, ", ".join(HARNESSES), hint))
    harness: Harness = load_class(HARNESSES[name], f"{TABLE}: {name}", Harness)()
    return harness
