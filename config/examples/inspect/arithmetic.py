"""A task of Inspect: add or subtract two numbers. `inspect eval arithmetic.py` runs it too."""

from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import pattern
from inspect_ai.solver import generate, prompt_template

EXAMPLES = ("10 + 15 = 25", "25 - 14 = 11", "17 + 32 = 49", "88 - 53 = 35")


@task
def arithmetic(examples: int = 4) -> Task:
    """Ask for sums and differences after some that are solved."""
    solved = "\n".join(f"What is {line.partition(' =')[0]}?\n{line}" for line in EXAMPLES[:examples])
    return Task(
        dataset=json_dataset("../../tasks/data/arithmetic_2digit.jsonl", FieldSpec(input="question", target="answer")),
        solver=[prompt_template(f"{solved}\n{{prompt}}"), generate()],
        scorer=pattern(r"(-?\d+)\D*$"),
    )
