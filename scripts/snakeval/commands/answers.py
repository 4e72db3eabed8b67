"""`snakeval answers`: what a task asked, and what came back, from the task's journal."""

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from snakeval.commands.chosen_run import add_run_arguments, choose_run
from snakeval.commands.logs import find_target
from snakeval.errors import Problem, UsageError
from snakeval.gateway.entries import Answer, Failed
from snakeval.gateway.journal import packed, read_entries
from snakeval.gateway.kinds import Kind
from snakeval.gateway.wire import Asked, Message, Reply
from snakeval.run.gateway_paths import GatewayPaths

COUNT = 5
EPILOG = """examples:
  snakeval answers gsm8k                        the first answers of a task
  snakeval answers qwen/gsm8k --kind "cut off"  of one kind; docs/answers.md lists the kinds
  snakeval answers gsm8k -n 0 --json            all of them, one JSON object a line
"""


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("answers", help="requests and answers of a task", description=__doc__, epilog=EPILOG)
    parser.add_argument("target", metavar="NAME", help="TASK or DEPLOYMENT/TASK")
    parser.add_argument("--kind", choices=[kind.value for kind in Kind], metavar="KIND", help="only answers of a kind")
    parser.add_argument("-n", "--count", type=int, default=COUNT, metavar="N", help=f"how many ({COUNT}); 0 for all")
    parser.add_argument("--json", action="store_true", help="as JSON, one object a line")
    add_run_arguments(parser, folder_is_positional=False)
    parser.set_defaults(run=show_answers)


def show_answers(arguments: argparse.Namespace) -> int:
    """Print the answers; returns 0."""
    chosen = choose_run(arguments)
    deployment, task = find_target(chosen.config, arguments.target)
    if task is None:
        raise UsageError(
            Problem(arguments.target, "is a deployment", arguments.target, "a task", f"{deployment.name}/TASK")
        )
    journal = GatewayPaths(chosen.paths.task(deployment.name, task.name).folder).journal
    if not journal.exists() and not packed(journal).exists():
        name = f"{deployment.name}/{task.name}"
        raise UsageError(
            Problem(name, "has no answers yet", f"no {journal}", "a task that was begun", "snakeval status")
        )
    found = (entry for entry in read_entries(journal) if arguments.kind in (None, *_kinds(entry)))
    shown = 0
    for entry in islice(found, arguments.count or None):
        print(_as_json(entry) if arguments.json else _as_text(entry))
        shown += 1
    if not shown and not arguments.json:
        print("no answer" + (f" of kind {arguments.kind}" if arguments.kind else ""))
    return 0


def _kinds(entry: Answer | Failed) -> tuple[str, ...]:
    return (entry.kind,) if isinstance(entry, Failed) else tuple(entry.kinds)


def _as_json(entry: Answer | Failed) -> str:
    return json.dumps(msgspec.json.decode(msgspec.json.encode(entry)), ensure_ascii=False)


def _as_text(entry: Answer | Failed) -> str:
    if isinstance(entry, Failed):
        return f"--- {entry.key}: {entry.kind}\n{entry.detail}\n"
    tokens = f"{_number(entry.prompt_tokens)} + {_number(entry.completion_tokens)} tokens"
    head = f"--- {entry.key}: {', '.join(dict.fromkeys(entry.kinds))}, {entry.latency_s:.2f} s, {tokens}"
    return "\n".join([head, *_asked(entry), *_replied(entry), ""])


def _number(count: int | None) -> str:
    return "?" if count is None else str(count)


def _asked(entry: Answer) -> Iterator[str]:
    try:
        asked = msgspec.json.decode(entry.sent, type=Asked)
    except msgspec.DecodeError:
        yield f"asked: {bytes(entry.sent).decode(errors='replace')}"
        return
    for message in asked.messages:
        content = message.get("content") if isinstance(message, dict) else message
        role = message.get("role") if isinstance(message, dict) else "?"
        yield f"{role}: {content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)}"
    if asked.prompt is not None:
        yield f"prompt: {asked.prompt}"


def _replied(entry: Answer) -> Iterator[str]:
    try:
        choices = msgspec.json.decode(entry.reply, type=Reply).choices or []
    except msgspec.DecodeError:
        choices = []
    if not choices:
        yield f"answer: {bytes(entry.reply).decode(errors='replace')}"
    for choice in choices:
        message = choice.message or Message(content=choice.text)
        if message.thought:
            yield f"thought: {message.thought}"
        text = message.text if message.text is not None else json.dumps(message.tool_calls, ensure_ascii=False)
        yield f"answer ({choice.finish_reason}): {text}"
