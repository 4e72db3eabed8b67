"""The executor in real calls of Snakemake on a workflow that knows nothing of Snakeval; what faults become there."""

import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from lepton.conftest import MARKS, ToyWorkspace
from workspace import eventually

TOY = """
rule all:
    input: expand("out/{{name}}.txt", name={names!r})
{rules}
"""
RULE = """
rule {name}:
    output: "out/{name}.txt"
    log: "logs/{name}.log"
    {extra}
    shell: {shell!r}
"""
GATED = "touch {output}.begun; while ! test -e gate; do sleep 0.1; done; echo done > {output}"


def _write(toy: ToyWorkspace, **rules: tuple[str, str]) -> None:
    """Write a Snakefile: name of the rule -> (further directives, shell command)."""
    text = "".join(RULE.format(name=name, extra=extra, shell=shell) for name, (extra, shell) in rules.items())
    (toy.folder / "Snakefile").write_text(TOY.format(names=list(rules), rules=text), encoding="utf-8")


def _error_of(output: str, rule: str) -> str:
    found = re.search(rf"^Error in rule {rule}:\n(.*?)(?=^\S)", output, re.MULTILINE | re.DOTALL)
    assert found is not None, output
    return found.group(1)


def test_jobs_run_with_their_secret_and_nobody_else_sees_it(toy: ToyWorkspace) -> None:
    told = 'echo said by {rule}; printf %s "$PLANTED" | sha256sum | cut -c1-12 > {output}'
    _write(toy, one=('container: "docker://nvcr.io/x:1"', told), two=("", told))
    text = (toy.folder / "Snakefile").read_text()
    (toy.folder / "Snakefile").write_text(f'envvars: "PLANTED"\n{text}')
    planned = toy.run("--dry-run")
    assert planned.returncode == 0, planned.output
    assert toy.plane.requests == [], "a dry-run asks and creates nothing"
    done = toy.run("--lepton-mounts", "/:/workspace:node-nfs:shared", "--lepton-node-group", "h100", "--verbose")
    assert done.returncode == 0, done.output
    assert len((toy.folder / "out" / "one.txt").read_text().strip()) == 12
    assert "said by one" in (toy.folder / "logs" / "one.log").read_text()
    bodies = [one.body for one in toy.plane.requests if one.method == "POST"]
    assert sorted(body["spec"]["container"]["image"] for body in bodies) == ["nvcr.io/x:1", "ubuntu:24.04"]
    assert {body["spec"]["affinity"]["allowed_dedicated_node_groups"][0] for body in bodies} == {"ng-h100-abcd"}
    kept = "".join(file.read_text(errors="replace") for file in toy.folder.rglob("*") if file.is_file())
    for secret in (MARKS["PLANTED"], toy.plane.token):
        assert secret not in toy.plane.bodies() + done.output + kept
    assert toy.plane.jobs == {}


def test_what_goes_wrong_is_said_in_the_error_block(toy: ToyWorkspace) -> None:
    shape = "resources: lepton_resource_shape={!r}"
    _write(
        toy,
        nopull=('container: "docker://nopull/x:1"', "touch {output}"),
        nocap=(shape.format("cpu.nocap"), "touch {output}"),
        quota=(shape.format("cpu.quota"), "touch {output}"),
        lost=('container: "docker://vanish/x:1"', "touch {output}"),
        fails=("", "echo this is wrong; exit 7"),
        well=("", "touch {output}"),
    )
    done = toy.run("--lepton-start-timeout", "6")
    assert done.returncode == 1
    expected = {
        "nopull": "cannot start: Starting, Failed: ImagePullBackOff: no such image (check the image's name",
        "nocap": "is still Queueing after --lepton-start-timeout (6 s), NoCapacity: no node with free resources",
        "quota": "Lepton refused the job: 400 QuotaExceeded quota of cpu.quota is used up",
        "lost": "does not exist any more",
        "fails": "has ended: Failed",
    }
    for rule, words in expected.items():
        assert words in _error_of(done.output, rule)
    assert done.output.count("waits: NoCapacity") == 1
    assert (toy.folder / "out" / "well.txt").exists()
    log = (toy.folder / "logs" / "fails.log").read_text()
    assert "this is wrong" in log
    assert "has ended: Failed; its output:" in log
    assert [job.name for job in toy.plane.jobs.values() if not job.forgotten] == []


def test_all_that_the_settings_name_is_looked_up_first(toy: ToyWorkspace) -> None:
    _write(toy, one=("", "touch {output}"))
    wrong = ["--lepton-node-group", "h1000", "--lepton-secrets", "HF_TOKEN=hf"]
    wrong += ["--lepton-mounts", "/:/workspace:node-nfs:other", "--lepton-image-pull-secrets", "nvidia"]
    done = toy.run(*wrong)
    assert done.returncode == 1
    for words in (
        "--lepton-node-group names a node group that does not exist",
        "(did you mean h100?)",
        "--lepton-secrets names a secret that does not exist",
        "--lepton-mounts names a volume that does not exist",
        "--lepton-image-pull-secrets names registry credentials",
    ):
        assert words in done.output
    assert {one.method for one in toy.plane.requests} == {"GET"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_ending_signal_cancels_every_job(toy: ToyWorkspace, number: signal.Signals) -> None:
    _write(toy, one=("", GATED), two=("", GATED))
    toy.plane.latency_s = 0.2
    running = toy.start()
    eventually(lambda: len(list((toy.folder / "out").glob("*.begun"))) == 2)
    running.signal(number)
    done = running.wait(60)
    assert done.returncode == 1, done.output
    assert toy.plane.jobs == {}


def test_after_a_kill_living_jobs_are_adopted_and_edited_ones_are_not(toy: ToyWorkspace) -> None:
    _write(toy, same=("", GATED), edited=("", GATED))
    running = toy.start()
    eventually(lambda: len(list((toy.folder / "out").glob("*.begun"))) == 2)
    running.signal(signal.SIGKILL)
    running.process.wait()
    assert len(toy.plane.alive()) == 2
    _write(toy, same=("", GATED), edited=("", GATED + "; true"))
    again = toy.start("--rerun-incomplete", "--nolock")
    eventually(lambda: "of an earlier call still lives: adopted" in again.log.read_text())
    eventually(lambda: toy.plane.count("POST", "/jobs") == 3)
    (toy.folder / "gate").touch()
    done = again.wait(60)
    assert done.returncode == 0, done.output
    assert toy.plane.count("POST", "/jobs") == 3, "one was adopted, one made anew"


def test_an_outage_and_an_expired_token_are_borne(toy: ToyWorkspace) -> None:
    _write(toy, one=("", GATED))
    running = toy.start("--lepton-token-grace", "3")
    eventually((toy.folder / "out" / "one.txt.begun").exists)
    toy.plane.down = True
    eventually(lambda: "Lepton cannot be asked (503 Unavailable maintenance)" in running.log.read_text())
    toy.plane.down = False
    eventually(lambda: "Lepton answers again" in running.log.read_text())
    toy.plane.expired = True
    done = running.wait(60)
    assert done.returncode == 1
    assert "Lepton refuses the token (401 Unauthorized token expired): run `lep login`" in done.output
    assert "with a new token the same command adopts them" in done.output
    assert len(toy.plane.alive()) == 1
    toy.plane.expired = False
    (toy.folder / "gate").touch()
    eventually(lambda: toy.plane.alive() == [])


def test_a_job_is_submitted_once_when_the_answer_is_lost(toy: ToyWorkspace) -> None:
    _write(toy, one=("", GATED))
    toy.plane.lose_answers = 1
    running = toy.start()
    eventually((toy.folder / "out" / "one.txt.begun").exists)
    eventually(lambda: "Lepton did not take a job" in running.log.read_text())
    (toy.folder / "gate").touch()
    done = running.wait(60)
    assert done.returncode == 0, done.output
    assert toy.plane.count("POST", "/jobs") == 1


def test_without_a_shared_volume_files_go_through_a_storage(toy: ToyWorkspace, tmp_path: Path) -> None:
    _write(toy, one=("", "echo one > {output}"), two=("", "echo two > {output}"))
    storage = tmp_path.parent / f"{tmp_path.name}-storage"
    storage.mkdir()
    if (rsync := shutil.which("rsync")) is None:
        pytest.skip("the storage plugin that stands in for S3 needs rsync; on Debian `apt-get install rsync` brings it")
    given = ["--shared-fs-usage", "none", "--default-storage-provider", "fs", "--default-storage-prefix", str(storage)]
    inside = f"PATH={Path(rsync).parent}:/usr/bin:/bin"
    done = toy.run(*given, "--lepton-python", sys.executable, "--lepton-env", inside)
    assert done.returncode == 0, done.output
    assert (storage / "out" / "one.txt").read_text() == "one\n"


def test_two_hundred_jobs_cost_one_question_a_poll(toy: ToyWorkspace) -> None:
    (toy.folder / "Snakefile").write_text(
        'rule all:\n    input: expand("out/{i}", i=range(200))\n'
        'rule one:\n    output: "out/{i}"\n'
        '    resources: lepton_resource_shape="cpu.nocap"\n    shell: "touch {output}"\n'
    )
    running = toy.start("--lepton-reason-interval", "60", "--seconds-between-status-checks", "2")
    eventually(lambda: toy.plane.count("POST", "/jobs") == 200, 120)
    before, lists = time.monotonic(), toy.plane.count("GET", "/jobs")
    eventually(lambda: toy.plane.count("GET", "/jobs") >= lists + 5, 60)
    spent = time.monotonic() - before
    assert (toy.plane.count("GET", "/jobs") - lists) * 2 <= spent + 4, "one list call for all of them, each 2 s"
    running.signal(signal.SIGINT)
    running.wait(60)
    assert toy.plane.jobs == {}
