"""What is told of a server that did not start: the log below is vLLM 0.32's, shortened."""

from pathlib import Path

import pytest
from builders import make_deployment, make_execution
from snakeval.deployments.failed_start import MAX_LINE, failed_start
from snakeval.system.files import last_lines

TAKEN = "another program has taken the port; leave deployment.port out to have a free one taken"
EARLIER_START = """\
[supervisor 2026-11-26 07:20:01] start 1: process 10, 127.0.0.1:4001
ValueError: of another start
"""
VLLM = """\
[supervisor 2026-11-26 07:25:17] start 1: process 3100, 127.0.0.1:4002
(APIServer pid=3100) WARNING 11-26 07:25:30 [utils.py:5] ulimit; `OSError: [Errno 24] Too many open files`.
(Worker pid=3300) ERROR 11-26 07:25:49 [worker.py:9] Traceback (most recent call last):
(Worker pid=3300) ERROR 11-26 07:25:49 [worker.py:9]     raise ValueError(
(Worker pid=3300) ERROR 11-26 07:25:49 [worker.py:9] ValueError: (20.9/23.5 GiB) is less than requested memory for kv
(EngineCore pid=3211) ERROR 11-26 07:25:49 [core.py:1] RuntimeError: Worker failed with error '(20.9/23.5 GiB)'
(EngineCore pid=3211) ERROR 11-26 07:25:49 [core.py:1] RuntimeError: Worker failed with error '(20.9/23.5 GiB)'
Traceback (most recent call last):
  File "core_client.py", line 1120, in __init__
  File "core_client.py", line 682, in __init__
RuntimeError: Engine core initialization failed. See root cause above.
[supervisor 2026-11-26 07:25:55] server failed: the server ended with status 1
"""


def _told(folder: Path, text: str, type: str = "vllm", reason: str = "the server ended with status 1") -> str:
    log = folder / "server.log"
    log.write_text(text, encoding="utf-8")
    told = failed_start(make_deployment(type=type), make_execution(), reason, last_lines(log, 5), log)
    return told.replace(str(log), "LOG")


def test_the_cause_that_another_process_has_written_is_told(tmp_path: Path) -> None:
    told = _told(tmp_path, EARLIER_START + VLLM)
    head, _, hint = told.partition("\nhint: ")
    assert head.splitlines() == [
        "the server of tiny did not start: the server ended with status 1; the end of LOG:",
        *VLLM.splitlines()[-5:],
        "errors above that:",
        "ValueError: (20.9/23.5 GiB) is less than requested memory for kv",
        "RuntimeError: Worker failed with error '(20.9/23.5 GiB)'",
    ]
    assert hint.startswith("the machine's memory is too small")


def test_what_the_last_lines_say_is_not_said_twice(tmp_path: Path) -> None:
    text = "[supervisor x] start 1: process 1, h:1\nOSError: one\nOSError: two\n"
    assert _told(tmp_path, text).endswith("\nOSError: one\nOSError: two")


@pytest.mark.parametrize("type", ["vllm", "sglang", "trtllm", "nim", "llamacpp", "generic"])
def test_a_taken_port_is_explained_for_every_type(type: str, tmp_path: Path) -> None:
    told = _told(tmp_path, "[Errno 98] Address already in use\n", type)
    assert told.endswith(
        "\nhint: another program has taken the port; leave deployment.port out to have a free one taken"
    )


def test_a_silent_sigkill_is_explained_but_that_of_sglang_is_its_own(tmp_path: Path) -> None:
    reason = "the server was killed by SIGKILL"
    for type in ("vllm", "llamacpp"):
        assert "mostly is the kernel's" in _told(tmp_path, "loading\n", type, reason)
    assert "hint" not in _told(tmp_path, "loading\n", "sglang", reason)


def test_endless_lines_are_cut_and_a_log_may_be_elsewhere(tmp_path: Path) -> None:
    told = _told(tmp_path, "x" * 10_000)
    assert told.endswith("\n" + "x" * MAX_LINE + " ...")
    absent = tmp_path / "absent.log"
    told = failed_start(make_deployment(), make_execution(), "gone", "OSError: last words", absent)
    assert told == f"the server of tiny did not start: gone; the end of {absent}:\nOSError: last words"
