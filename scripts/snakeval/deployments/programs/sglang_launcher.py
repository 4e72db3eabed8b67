"""Starts SGLang with the API key from SNAKEVAL_API_KEY, where SGLang itself takes it by an argument alone.

Rendered into `launch.sh` as the text of `python3 -c`, because a container image has no Snakeval in it: needs nothing
but SGLang. The key is added to the arguments within the process, where no list of processes shows it, and kept out of
the log, in which SGLang writes all its settings.
"""

import contextlib
import logging
import os
import runpy
import sys
from typing import Any

HIDDEN = "***"


def hide_in_log(secret: str) -> None:
    """Have every record of this process show `***` instead of `secret`."""
    make = logging.getLogRecordFactory()

    def hidden(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = make(*arguments, **keywords)
        with contextlib.suppress(TypeError, ValueError, KeyError):  # a wrong format is told by the handler, as ever
            if secret in record.getMessage():
                record.msg, record.args = record.getMessage().replace(secret, HIDDEN), None
        return record

    logging.setLogRecordFactory(hidden)


def main() -> None:
    """Become SGLang's server."""
    key = os.environ.get("SNAKEVAL_API_KEY")
    if key:
        hide_in_log(key)
        sys.argv += ["--api-key", key]
    runpy.run_module("sglang.launch_server", run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    main()
