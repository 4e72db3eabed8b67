"""The real SGLang on CPUs, put together by hand: its command, its key, its readiness, its end."""

import psutil
from engine_bench import SGLANG_ON_CPUS, built_or_skip, vllm_checkpoint
from workspace import Workspace, eventually


def test_chat_with_a_key_that_stands_nowhere(workspace: Workspace) -> None:
    built_or_skip("sglang-cpu")
    workspace.configure(
        {
            "deployment": {
                "type": "sglang",
                "name": "smol",
                "runtime": "environment",
                "checkpoint_path": str(vllm_checkpoint()),
                "served_model_name": "smol model",
                "max_model_len": 1024,
                "extra_args": SGLANG_ON_CPUS,
                "env_vars": {"HF_HUB_OFFLINE": "lit:1"},
            },
            "evaluation": {"limit": 3, "max_new_tokens": 8, "tasks": ["capitals"]},
        }
    )
    running = workspace.start("--retries", "0")
    state = workspace.results / "smol" / "server" / "state.json"
    eventually(lambda: state.exists() and '"READY"' in state.read_text(), 400, "a server that is ready")
    server = next(one for one in workspace.servers() if "SNAKEVAL_API_KEY" in one.environ())
    key = psutil.Process(server.pid).environ()["SNAKEVAL_API_KEY"]
    assert not any(key in line for line in workspace.command_lines())
    done = running.wait()
    assert done.returncode == 0, done.output
    assert workspace.result("smol", "capitals")["samples"] == {"asked": 3, "answered": 3, "failed": 0}
    assert workspace.processes() == []
    log = (workspace.results / "smol" / "server" / "server.log").read_text()
    assert "'api_key': '***'" in log
    assert key not in log
