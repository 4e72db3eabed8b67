"""Every file that the documentation names exists, so that a move of files takes the documentation along."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/*.md")])
# A changelog tells of files that were, and recipes of files that a reader adds.
PAGES = [page for page in PAGES if page.name not in ("CHANGELOG.md", "CONTRIBUTING.md")]
FOLDERS = "benchmarks|config|docs|envs|profiles|rules|schemas|scripts|tests"
# Not behind a slash or a word: paths of other checkouts and addresses are not ours.
PATH = re.compile(rf"(?<![\w./:-])(?:{FOLDERS})/[\w./<>{{}},*-]*")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
PLACEHOLDER = re.compile(r"<[^>]*>|\{[^}]*\}|\b[A-Z_]{4,}\b(?=\.|/|$)")


def named_files(text: str) -> list[str]:
    """Return the paths of the repository that a page names, from its root, placeholders as `*`."""
    found = (PLACEHOLDER.sub("*", match) for match in PATH.findall(text))
    return sorted({path.rstrip(".,") for path in found})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [path for path in named_files(text) if not any(ROOT.glob(path))] == []
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


def test_paths_are_found_in_prose_and_in_blocks() -> None:
    text = "See `scripts/dev/lock.sh`, (docs/slurm.md); https://x.org/docs/a.md, my/config/b.yaml.\n    cat tests/c.mk"
    assert named_files(text) == ["docs/slurm.md", "scripts/dev/lock.sh", "tests/c.mk"]
    assert named_files("`schemas/deployment/<type>.schema.yaml`") == ["schemas/deployment/*.schema.yaml"]
