"""Profiles by name: linked into the user's folder, without touching what is there."""

from pathlib import Path

import pytest
from dev.install_profiles import PROFILES, install


def test_every_profile_but_default_is_linked_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(PROFILES, tmp_path / "snakemake") == []
    links = {path.name: path.resolve() for path in (tmp_path / "snakemake").iterdir()}
    assert links == {name: PROFILES / name for name in links}
    assert {"local", "slurm"} <= set(links)
    assert "default" not in links
    assert install(PROFILES, tmp_path / "snakemake") == []
    assert capsys.readouterr().out.count("is there already") == len(links)


def test_a_profile_of_the_users_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "slurm"
    own.mkdir()
    (problem,) = install(PROFILES, tmp_path)
    assert problem.startswith(f"{own} is another profile")
    assert not own.is_symlink()
    assert (tmp_path / "local").is_symlink()
