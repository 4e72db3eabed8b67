"""One server on several nodes: the script starts itself on the others, and nothing waits for ever."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import make_deployment
from engine_spies import Spies, spies_in
from launch_bench import BASH
from snakeval.deployments.programs import network
from snakeval.system import checkout


@pytest.fixture
def spies(tmp_path: Path) -> Iterator[Spies]:
    with spies_in(tmp_path) as found:
        yield found


# Runs its command as the task of another node would be, and goes on when the server has taken what it needs.
SRUN = """
printf '%s\\n' "$@" >"$RECORDS/srun"
while [[ $1 == --* ]]; do shift; done
SLURM_PROCID=0 "$@"
"""
LARGE: dict[str, Any] = {"checkpoint_path": "/models/large", "tensor_parallel_size": 16}


def _by_node(lines: list[str]) -> dict[str, str]:
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def _await_other(name: str) -> str:
    """Return a program that records its call by its rank, and waits for that of the other node."""
    return f"""
node=other missing=first
[[ " $* " == *" --node-rank=0 "* ]] && node=first missing=other
echo "$node $*" >>"$RECORDS/{name}"
timeout 30 bash -c "until grep -q ^$missing '$RECORDS/{name}'; do sleep 0.05; done"
"""


def test_vllm_on_two_nodes(spies: Spies) -> None:
    spies.program("srun", SRUN)
    spies.program("vllm", _await_other("vllm"))
    done = spies.run(make_deployment(type="vllm", **LARGE), num_nodes=3)
    assert done.returncode in (0, -15), done.stderr
    assert spies.recorded("srun") == [
        "--relative=1",
        "--nodes=2",
        "--ntasks=2",
        "--ntasks-per-node=1",
        "--overlap",
        "--export=ALL",
        "--kill-on-bad-exit=1",
        "--input=none",
        "bash",
        str(spies.folder / "launch.sh"),
    ]
    calls = _by_node(spies.recorded("vllm"))
    assert set(calls) == {"first", "other"}
    common = "serve /models/large --served-model-name=tiny-model --host=127.0.0.1 --port=4321 --tensor-parallel-size=16"
    assert all(call.startswith(common) for call in calls.values())
    assert "--nnodes=3 --node-rank=0 --master-addr=127.0.0.1 --master-port=" in calls["first"]
    assert "--nnodes=3 --node-rank=1 --master-addr=127.0.0.1 --master-port=" in calls["other"]
    assert calls["other"].endswith(" --headless")
    assert "--headless" not in calls["first"]
    ports = {call.partition("--master-port=")[2].partition(" ")[0] for call in calls.values()}
    assert len(ports) == 1
    assert "k3y" not in " ".join([*calls.values(), *spies.recorded("srun")])


def test_sglang_on_two_nodes(spies: Spies) -> None:
    spies.program("srun", SRUN)
    spies.program("python3", "shift 2\n" + _await_other("sglang"))
    done = spies.run(make_deployment(type="sglang", **LARGE), num_nodes=2)
    assert done.returncode in (0, -15), done.stderr
    calls = _by_node(spies.recorded("sglang"))
    assert "--nnodes=2 --node-rank=0 --dist-init-addr=127.0.0.1:" in calls["first"]
    assert "--nnodes=2 --node-rank=1 --dist-init-addr=127.0.0.1:" in calls["other"]


# The first node listens where the others look for it.
RAY = """
echo "$*" >>"$RECORDS/ray"
if [[ $2 == --head ]]; then
  {python} -m http.server --bind 127.0.0.1 "${{4#--port=}}" >/dev/null 2>&1 </dev/null &
  echo $! >"$RECORDS/listener"
else
  timeout 30 bash -c 'until [[ -e "$RECORDS/vllm" ]]; do sleep 0.05; done'
fi
"""
SERVED_BY_RAY = """
timeout 30 bash -c 'until grep -q -- --address "$RECORDS/ray"; do sleep 0.05; done'
kill "$(<"$RECORDS/listener")"
echo "$*" >"$RECORDS/vllm"
"""


def test_vllm_by_ray_waits_for_its_nodes(spies: Spies) -> None:
    """The Ray of this test counts one node more each time it is asked."""
    spies.program("srun", SRUN)
    spies.program("ray", RAY.format(python=sys.executable))
    spies.program("python3", 'echo x >>"$RECORDS/asked"; grep -c x "$RECORDS/asked"')
    spies.program("vllm", SERVED_BY_RAY)
    done = spies.run(make_deployment(type="vllm", distributed_executor_backend="ray", **LARGE), num_nodes=2)
    assert done.returncode in (0, -15), done.stderr
    assert len(spies.recorded("asked")) == 2
    (call,) = spies.recorded("vllm")
    assert call.endswith(" --distributed-executor-backend=ray")
    head, other = sorted(spies.recorded("ray"), key=lambda line: "--head" not in line)
    assert head.startswith("start --head --node-ip-address=127.0.0.1 --port=")
    assert other.startswith("start --address=127.0.0.1:")
    assert other.endswith(" --node-ip-address=127.0.0.1 --block")


def test_vllm_by_ray_does_not_wait_for_ever(spies: Spies) -> None:
    spies.program("ray", "exit 0")
    spies.program("python3", "echo 1")
    head = (checkout.TEMPLATES / "launch" / "parts" / "ray-head.sh").read_text(encoding="utf-8")
    environment = {"PATH": f"{spies.bin}:{os.environ['PATH']}", "SNAKEVAL_HEAD": "127.0.0.1", "SNAKEVAL_HEAD_PORT": "1"}
    done = subprocess.run(
        [BASH, "-c", "--", head, "ray-head", "2", "1", "vllm"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "error: after 1 s Ray has 1 of 2 nodes\n")


def test_a_node_does_not_wait_for_ever_for_ray(spies: Spies) -> None:
    node = (checkout.TEMPLATES / "launch" / "parts" / "ray-node.sh").read_text(encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "SNAKEVAL_HEAD": "127.0.0.1", "SNAKEVAL_HEAD_PORT": "1"}
    done = subprocess.run(
        [BASH, "-c", "--", node, "ray-node", "1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "error: after 1 s no Ray answers at 127.0.0.1:1\n")


def test_a_server_ends_when_its_other_nodes_do(spies: Spies) -> None:
    spies.program("srun", "echo out of memory >&2; exit 9")
    spies.program("vllm", "exec sleep 60")
    done = spies.run(make_deployment(type="vllm", **LARGE), num_nodes=2)
    assert done.returncode == -15
    assert done.stderr.startswith("out of memory\nerror: the other nodes of the server have ended, with status 9\n")


def test_network_tells_a_free_port_and_the_address_towards_a_host(capsys: pytest.CaptureFixture[str]) -> None:
    network.main(["port"])
    with socket.socket() as probe:
        probe.bind(("", int(capsys.readouterr().out)))
    network.main(["address", "127.0.0.1"])
    assert capsys.readouterr().out == "127.0.0.1\n"
    with pytest.raises(SystemExit, match="expected port"):
        network.main(["address"])
