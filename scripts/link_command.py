"""Write `snakeval` beside this environment's interpreter: a script that calls scripts/command.py of this checkout."""

import sys
from pathlib import Path

from snakeval.deployments.launch import render_command_launcher
from snakeval.system.files import write_text

if __name__ == "__main__":
    # Not resolved: the interpreter of a virtual environment is a link to the one that it was made from.
    interpreter = Path(sys.executable)
    text = render_command_launcher(interpreter, Path(__file__).resolve().parent / "command.py")
    write_text(interpreter.parent / "snakeval", text, mode=0o755)
