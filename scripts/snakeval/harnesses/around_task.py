"""Commands of the configuration around a task's harness: `pre_cmd` before it, `post_cmd` after it."""

from pathlib import Path

from snakeval.config.model import Task
from snakeval.errors import HarnessError
from snakeval.harnesses.outcome import describe_status
from snakeval.system.checkout import PROGRAMS
from snakeval.system.files import write_text

AROUND = PROGRAMS / "around_task.sh"
FAILED = "failed_cmd"


def wrapped(task: Task, argv: list[str], folder: Path) -> list[str]:
    """Return the command line that runs a harness between the task's commands; writes those into `folder`."""
    commands = {name: task.settings.get(name) for name in ("pre_cmd", "post_cmd")}
    (folder / FAILED).unlink(missing_ok=True)
    for name, text in commands.items():
        if text:
            write_text(folder / f"{name}.sh", f"{text}\n", mode=0o600)
        else:
            (folder / f"{name}.sh").unlink(missing_ok=True)
    return ["bash", str(AROUND), str(folder.absolute()), *argv] if any(commands.values()) else argv


def failed_command(folder: Path) -> HarnessError | None:
    """Return what to say when one of the commands ended the task, None when it was the harness."""
    try:
        name, status = (folder / FAILED).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return None
    return HarnessError(f"{name} of the task {describe_status(int(status))}; its words are in the log")
