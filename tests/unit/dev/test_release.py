"""Version, citation, changelog, tag and locks say the same."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from snakeval import __version__
from workspace import REPOSITORY

PLUGIN = REPOSITORY / "scripts" / "plugins" / "snakemake-executor-plugin-lepton" / "pyproject.toml"
SECTION = re.compile(r"^## \[(?P<version>[^]]+)\] - (?P<date>unreleased|\d{4}-\d\d-\d\d)$", re.MULTILINE)
# Its versions are dates, and the newest roots of trust are the right ones.
WITHOUT_END = ("certifi",)
CHANGES = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def _project(file: Path) -> dict[str, Any]:
    return dict(tomllib.loads(file.read_text(encoding="utf-8"))["project"])


def _changelog() -> str:
    return (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_all_name_the_same_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    newest = SECTION.search(_changelog())
    assert newest is not None
    assert _project(REPOSITORY / "pyproject.toml")["dynamic"] == ["version"]
    assert _project(PLUGIN)["version"] == citation["version"] == newest["version"] == __version__
    assert str(citation.get("date-released", "unreleased")) == newest["date"]


def test_the_tag_of_a_release_names_its_version() -> None:
    # Where git is missing, or this is no clone, there is no tag to compare.
    command = [shutil.which("git") or "false", "tag", "--points-at", "HEAD", "--list", "v*"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)
    newest = SECTION.search(_changelog())
    assert newest is not None
    for tag in done.stdout.split():
        assert (tag, newest["date"] == "unreleased") == (f"v{__version__}", False)


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    headings = re.findall(r"^##+ .*$", _changelog(), re.MULTILINE)
    assert headings
    assert [one for one in headings if one.startswith("## ")] == [one[0] for one in SECTION.finditer(_changelog())]
    assert {one.removeprefix("### ") for one in headings if one.startswith("### ")} <= set(CHANGES)


def test_what_is_locked_is_what_is_declared() -> None:
    lines = (REPOSITORY / "envs" / "snakeval.lock").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[A-Za-z0-9]", line)]
    for declared in map(Requirement, _project(REPOSITORY / "pyproject.toml")["dependencies"]):
        of_it = [pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(declared.name)]
        versions = [next(iter(pin.specifier)).version for pin in of_it]
        assert versions, f"{declared.name} is not locked: make lock"
        assert all(map(declared.specifier.contains, versions)), f"{declared} is locked at {versions}: make lock"
        bounds = {one.operator for one in declared.specifier} | ({"<"} if declared.name in WITHOUT_END else set())
        assert bounds == {">=", "<"}, f"{declared} needs a lower and an upper bound"
