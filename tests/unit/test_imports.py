"""Every module can be imported first, and no name is taken that others may use."""

import pkgutil
import subprocess
import sys

from snakeval.system.checkout import SCRIPTS

# One process for all: a fresh one for each takes a minute. Compiled once, because caches on disk may be switched off.
PROGRAM = """
import functools, importlib, sys
from importlib.machinery import SourceFileLoader

SourceFileLoader.get_code = functools.cache(SourceFileLoader.get_code)
for module in sys.argv[1:]:
    for loaded in [name for name in sys.modules if name.split(".")[0] == "snakeval"]:
        del sys.modules[loaded]
    try:
        importlib.import_module(module)
    except Exception as error:
        print(f"{module}: {type(error).__name__}: {error}")
"""


def _modules() -> list[str]:
    """Return all modules but the runners, which are programs of other environments."""
    files = [file.relative_to(SCRIPTS) for file in sorted((SCRIPTS / "snakeval").rglob("*.py"))]
    names = [".".join(file.with_suffix("").parts) for file in files if "runners" not in file.parts]
    return [name.removesuffix(".__init__") for name in names]


def test_no_module_needs_another_to_be_imported_first() -> None:
    modules = _modules()
    assert len(modules) > 100
    command = [sys.executable, "-c", PROGRAM, *modules]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_nothing_but_the_package_and_the_plugins_can_be_imported_by_a_common_word() -> None:
    lepton = SCRIPTS / "plugins" / "snakemake-executor-plugin-lepton" / "src"
    # What the Snakefile and an installed checkout put on sys.path. Folders without __init__.py give way to all else.
    found = {folder.name: {one.name for one in pkgutil.iter_modules([str(folder)])} for folder in (SCRIPTS, lepton)}
    assert found == {"scripts": {"snakeval"}, "src": {"snakemake_executor_plugin_lepton"}}
    assert {one.name for one in pkgutil.iter_modules([str(SCRIPTS / "plugins")])} == {
        "snakemake_logger_plugin_snakeval"
    }
