"""Adding one thing of each kind by the text of CONTRIBUTING.md alone, in a copy of this checkout, breaks nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from recipes import Recipe, read_recipes
from workspace import REPOSITORY

RECIPES = list(read_recipes(REPOSITORY / "CONTRIBUTING.md"))
# Tests that look at all things of a kind, whichever they are.
AFFECTED = (
    "tests/unit/test_imports.py",
    "tests/unit/test_layers.py",
    "tests/unit/backends/test_backend_table.py",
    "tests/unit/commands/test_command_table.py",
    "tests/unit/commands/test_tasks_command.py",
    "tests/unit/config/test_config_errors.py",
    "tests/unit/config/test_config_schemas.py",
    "tests/unit/config/test_registry.py",
    "tests/unit/deployments/test_launch.py",
    "tests/unit/deployments/test_same_server.py",
    "tests/unit/dev/test_check_extensions.py",
    "tests/unit/dev/test_install_profiles.py",
    "tests/unit/harnesses/test_harness_table.py",
    "tests/unit/results/test_export_table.py",
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this checkout that belong to the repository, with its environment."""
    root = tmp_path_factory.mktemp("clone")
    told = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    listed = subprocess.run(told, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    _link_environment(Path(sys.prefix), root / ".venv")
    return root


def _link_environment(source: Path, target: Path) -> None:
    """Make an environment with the packages of another one, and with the command of the checkout that it lies in."""
    (target / "bin").mkdir(parents=True)
    for path in source.iterdir():
        if path.name != "bin":
            (target / path.name).symlink_to(path)
    for path in (source / "bin").iterdir():
        if path.name != "snakeval":
            (target / "bin" / path.name).symlink_to(path)
    command = target / "bin" / "snakeval"
    program = "import sys; from snakeval.commands import main; sys.exit(main())"
    command.write_text(f"#!{target}/bin/python\n{program}\n", encoding="utf-8")
    command.chmod(0o755)


def _call(root: Path, command: str, timeout_s: float) -> None:
    # The environment's own path leads to the checkout that it was made for.
    environment = {**os.environ, "PYTHONPATH": str(root / "scripts")}
    # At its end a pytest removes the folders of older ones, which may be large.
    environment["PYTEST_DEBUG_TEMPROOT"] = str(root.parent)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}"


def test_every_kind_has_a_recipe() -> None:
    kinds = ["A backend", "A harness", "An export format", "A deployment type", "A subcommand"]
    assert [recipe.name for recipe in RECIPES] == kinds
    assert all(recipe.steps and recipe.commands for recipe in RECIPES)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_is_right_word_by_word(clone: Path, recipe: Recipe) -> None:
    for step in recipe.steps:
        step.apply(clone)
    for command in recipe.commands:
        _call(clone, command, 300)


@pytest.mark.timeout(1200)
def test_all_of_them_together_break_no_test(clone: Path) -> None:
    _call(clone, ".venv/bin/ruff check scripts tests && .venv/bin/ruff format --check scripts tests", 60)
    _call(clone, ".venv/bin/mypy", 400)
    _call(clone, f".venv/bin/python -m pytest -q -p no:cacheprovider {' '.join(AFFECTED)}", 550)
