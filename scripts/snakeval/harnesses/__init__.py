"""The programs that know tasks, behind one interface: how to call one, how far it is, what came out of it."""

from snakeval.harnesses.base import Harness

# Names of modules that `harness_of` knows; what others are needed for can be planned and not run.
MODULES = ("lm-eval", "command", "nemo-evaluator", "inspect", "inspect_evals")


def harness_of(name: str) -> Harness:
    """Return the harness module of this name, one of `MODULES`; raises KeyError for any other."""
    from snakeval.harnesses.command import CommandHarness
    from snakeval.harnesses.inspect import InspectHarness
    from snakeval.harnesses.lm_eval import LmEvalHarness
    from snakeval.harnesses.nemo_evaluator import NemoEvaluatorHarness

    harnesses: dict[str, Harness] = {
        "lm-eval": LmEvalHarness(),
        "command": CommandHarness(),
        "nemo-evaluator": NemoEvaluatorHarness(),
        "inspect": InspectHarness(),
        "inspect_evals": InspectHarness(),
    }
    return harnesses[name]
