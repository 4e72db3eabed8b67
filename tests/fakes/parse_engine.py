"""Hands command lines to the real argument parser of an engine: parse_engine.py vllm|sglang, in its environment.

Reads a JSON list of lists of words; prints, as its last line, for each either {"error": TEXT} or {"values": {...}}.
"""

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Callable
from typing import Any


def _vllm() -> Callable[[list[str]], argparse.Namespace]:
    from vllm.entrypoints.cli.serve import cmd_init
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = FlexibleArgumentParser()
    commands = parser.add_subparsers(dest="subparser")
    for command in cmd_init():
        command.subparser_init(commands)
    return lambda words: parser.parse_args(words)


def _sglang() -> Callable[[list[str]], argparse.Namespace]:
    from sglang.srt.server_args import ServerArgs

    parser = argparse.ArgumentParser()
    ServerArgs.add_cli_args(parser)
    return lambda words: parser.parse_args(words)


def main(engine: str) -> None:
    parse = {"vllm": _vllm, "sglang": _sglang}[engine]()
    answers: list[dict[str, Any]] = []
    for words in json.load(sys.stdin):
        errors = io.StringIO()
        try:
            with contextlib.redirect_stderr(errors):
                values = vars(parse(words))
        except (SystemExit, ValueError) as error:
            answers.append({"error": f"{error} {errors.getvalue()}"})
        else:
            plain = {name: value for name, value in values.items() if isinstance(value, str | int | float | list)}
            answers.append({"values": plain})
    print("\n" + json.dumps(answers, default=str))


if __name__ == "__main__":
    main(sys.argv[1])
