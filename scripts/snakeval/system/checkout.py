"""Where Snakeval's own files are: workflow, schemas, templates, environments, programs. No other module looks for them.

In a checkout they lie beside the package; a wheel carries them inside of it.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT = _PACKAGE.parents[1]

ROOT = _CHECKOUT if (_CHECKOUT / "Snakefile").is_file() else _PACKAGE / "checkout"
CONFIG = ROOT / "config"
ENVS = ROOT / "envs"
SCHEMAS = ROOT / "schemas"
SCRIPTS = ROOT / "scripts"
PROGRAMS = SCRIPTS / "programs"
TEMPLATES = SCRIPTS / "templates"
