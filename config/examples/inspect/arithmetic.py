"""A task of Inspect: add or subtract two numbers. `inspect eval arithmetic.py` runs it too."""

from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import Sample, json_dataset
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, GenerateConfig
from inspect_ai.scorer import pattern
from inspect_ai.solver import generate

EXAMPLES = ("10 + 15 = 25", "25 - 14 = 11", "17 + 32 = 49", "88 - 53 = 35")


@task
def arithmetic(examples: int = 4) -> Task:
    """Ask for sums and differences, after some that are solved as earlier turns of the chat."""

    def to_sample(record: dict[str, Any]) -> Sample:
        turns: list[ChatMessageUser | ChatMessageAssistant] = []
        for line in EXAMPLES[:examples]:
            turns.append(ChatMessageUser(content=f"What is {line.partition(' =')[0]}?\nAnswer:"))
            turns.append(ChatMessageAssistant(content=line))
        question = ChatMessageUser(content=f"{record['question']}\nAnswer:")
        return Sample(id=record["id"], input=[*turns, question], target=record["answer"])

    return Task(
        dataset=json_dataset("../../tasks/data/arithmetic_2digit.jsonl", to_sample),
        solver=generate(),
        scorer=pattern(r"(-?\d+)\D*$"),
        config=GenerateConfig(temperature=0, max_tokens=16, stop_seqs=["\n"]),
    )
