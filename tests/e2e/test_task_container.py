"""Whole runs of tasks in an image of their harness: the same numbers as without, resumed after a kill, nothing left."""

import gzip
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from containers import Podman, harness_image
from fakes.openai_server import FakeOpenAIServer
from nemo_bench import NemoBench
from snakeval.system.environments import ensure_environment
from workspace import REPOSITORY, Workspace, command_of, eventually

IMAGE = "localhost/snakeval-simple-evals:26.03"
MISSING = "localhost/snakeval-no-such-image:1"
KEY = "planted-endpoint-key-0817"
RIGHT, WRONG = "Answer: A", "Answer: B"
TOKENS = 7
# Rules ready and evaluate ask for an answer before a task is begun.
CHECKS = 2
# Inside of the image, where the data is at its own place; what they write comes out by the work folder.
COMMANDS = {
    "pre_cmd": "export SEEN_BY_ME=1",
    "post_cmd": 'ls /datasets/TIGER-Lab >"$SNAKEVAL_HARNESS_FOLDER/seen"; env >>"$SNAKEVAL_HARNESS_FOLDER/seen"',
}


class Images:
    """Runs with tasks in the image, against an endpoint of the test."""

    def __init__(self, workspace: Workspace, mounts: dict[str, str]) -> None:
        self.workspace = workspace
        self.mounts = mounts
        workspace.environ |= {"ENDPOINT_KEY": KEY, "SNAKEVAL_TRUST_PRE_CMD": "1", "SOMETHING_ELSE": "outside"}

    def configure(self, server: FakeOpenAIServer, *tasks: dict[str, Any], **execution: Any) -> None:
        """Write a configuration with these tasks, all of them MMLU-Pro."""
        endpoint = {"url": server.base_url, "model_id": server.model, "api_key_name": "ENDPOINT_KEY"}
        shared = {"task": "mmlu_pro", "harness": "simple_evals", "max_new_tokens": TOKENS, "parallelism": 1}
        mounts = {"evaluation": self.mounts}
        self.workspace.configure(
            {
                "deployment": {"type": "none", "name": "there", **endpoint},
                "execution": {"type": "local", "container_runtime": "podman", "mounts": mounts, **execution},
                "evaluation": {
                    "env_vars": {"HF_HUB_OFFLINE": "lit:1", "HF_HOME": "lit:/tmp/hf"},
                    "tasks": [shared | task for task in tasks],
                },
            }
        )

    def samples(self, task: str) -> list[dict[str, Any]]:
        """Return what is kept of a task's samples, but for their times."""
        with gzip.open(self.workspace.results / "there" / task / "samples.jsonl.gz", "rt") as lines:
            return [{**json.loads(line), "latency_s": None} for line in lines]


@pytest.fixture
def images(workspace: Workspace, podman: Podman, tmp_path: Path) -> Iterator[Images]:
    python = ensure_environment(REPOSITORY / "envs" / "nvidia-simple-evals.lock")
    NemoBench(tmp_path, python).ask(RIGHT, RIGHT, WRONG, RIGHT, RIGHT, WRONG)
    yield Images(workspace, harness_image(podman, IMAGE, python.parents[1]))


def test_an_image_s_numbers_are_those_of_the_environment(images: Images, podman: Podman, tmp_path: Path) -> None:
    """And a task whose image cannot be had fails by itself, before anything is asked."""
    data = {"dataset_dir": str(tmp_path / "data")}
    with FakeOpenAIServer(api_key=KEY) as server:
        images.configure(
            server,
            {"name": "here", **data},
            {"name": "inside", "container": IMAGE, **data, **COMMANDS},
            {"name": "nowhere", "container": MISSING, **data},
        )
        done = images.workspace.run("--keep-going")
        assert done.returncode == 1, done.output
        assert len(_questions(server)) == 12
    here, inside = (images.workspace.result("there", name) for name in ("here", "inside"))
    assert inside["metrics"] == here["metrics"]
    assert here["metrics"][0]["value"] == pytest.approx(4 / 6)
    assert (inside["samples"], inside["tokens"]) == (here["samples"], here["tokens"])
    assert images.samples("inside") == images.samples("here")
    assert inside["versions"] == {"container": IMAGE, **here["versions"]}
    assert "6/6 samples" in done.output
    seen = (images.workspace.results / "there" / "inside" / "harness" / "seen").read_text().splitlines()
    assert {"MMLU-Pro", "SEEN_BY_ME=1", "NEMO_EVALUATOR_DATASET_DIR=/datasets", "SNAKEVAL_TASK_STATUS=0"} <= set(seen)
    assert not any("SOMETHING_ELSE" in line for line in seen)
    assert podman.containers() == []
    assert f"the container of task nowhere did not start (image {MISSING}): podman cannot pull it:" in done.output
    assert "hint: " in done.output
    assert "retrying in" not in done.output
    assert not (images.workspace.results / "there" / "nowhere" / "harness").exists()
    for file in images.workspace.folder.rglob("*"):
        found = file.is_file() and KEY.encode() in file.read_bytes()
        assert not found or file.name == "seen", file


def test_a_killed_task_leaves_no_container_and_resumes(images: Images, podman: Podman, tmp_path: Path) -> None:
    task = {"name": "inside", "container": IMAGE, "dataset_dir": str(tmp_path / "data")}
    with FakeOpenAIServer(api_key=KEY, faults=(f"hold-after:{3 + CHECKS}",)) as server:
        images.configure(server, task)
        running = images.workspace.start("--retries", "0")
        server.wait_for_requests(4 + CHECKS, 240)
        (container,) = podman.containers()
        assert container["Labels"] == {
            "snakeval.run": "test",
            "snakeval.deployment": "there",
            "snakeval.task": "inside",
        }
        words = [process for process in psutil.process_iter() if KEY in " ".join(command_of(process))]
        assert words == []
        (evaluating,) = [one for one in images.workspace.processes() if _is_evaluation(one)]
        os.kill(evaluating.pid, signal.SIGKILL)
        eventually(lambda: podman.containers() == [], 30, "the container's end")
        done = running.wait()
        assert done.returncode == 1, done.output
        server.release()
        assert len(_questions(server)) == 4
    with FakeOpenAIServer(api_key=KEY, port=server.port) as server:
        done = images.workspace.run()
        assert done.returncode == 0, done.output
        assert len(_questions(server)) == 3
    assert images.workspace.result("there", "inside")["requests"] == {"sent": 3, "resumed": 3, "retried": 0}
    assert podman.containers() == []
    lock = yaml.safe_load((images.workspace.results / "lock.yaml").read_text())
    assert lock["results"]["there/inside"]["versions"]["container"] == IMAGE


def _questions(server: FakeOpenAIServer) -> list[dict[str, Any]]:
    return [payload for payload in server.payloads if payload["max_tokens"] == TOKENS]


def _is_evaluation(process: psutil.Process) -> bool:
    """Whether it is the script of rule evaluate, which Snakemake gives a name of its own."""
    return any(word.endswith("evaluate.py") for word in command_of(process))
