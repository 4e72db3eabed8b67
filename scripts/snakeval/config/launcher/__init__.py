"""Keys of NeMo Evaluator Launcher's files, put into our own: docs/launcher.md is the table of them.

A key that our schemas know is left alone, so nothing here has to change when one more of the launcher's is honoured.
"""

from collections.abc import Mapping

from snakeval.config.launcher.deployment import translate_deployments, translate_target
from snakeval.config.launcher.evaluation import translate_evaluation
from snakeval.config.launcher.execution import translate_execution
from snakeval.config.launcher.export import translate_export
from snakeval.config.launcher.findings import Findings
from snakeval.config.launcher.variables import translate_variables
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Tree

__all__ = ["Findings", "translate"]


def translate(tree: Tree, schemas: Schemas, chosen: Mapping[str, str]) -> Findings:
    """Rewrite the launcher's keys in the tree; safe on a tree that has none.

    Args:
        tree: Composed, overridden, references resolved; changed in place.
        schemas: What our own keys are.
        chosen: Group -> name of its file, as `defaults` has it.
    """
    findings = Findings(tree)
    translate_variables(tree)
    translate_export(tree, schemas, findings)
    translate_execution(tree, schemas, chosen, findings)
    translate_deployments(tree, schemas, chosen, findings)
    translate_evaluation(tree, findings)
    translate_target(tree, findings)
    for key in ("user_config_path", "auxiliary_deployments"):
        if tree.get((key,)) in (None, {}, ""):
            tree.remove((key,))
    if tree.get(("user_config_path",)) is not None:
        findings.no_meaning(("user_config_path",), "the files of a run are named on the command line")
    return findings
