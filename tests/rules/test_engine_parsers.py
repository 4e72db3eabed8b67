"""Every command that is rendered for vLLM and SGLang is one that the argument parsers of the pinned versions take."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_deployment
from engine_bench import built_or_skip
from engine_cases import ENGINES
from engine_spies import Spies, spies_in
from hypothesis import given, settings
from hypothesis import strategies as st
from snakeval.config import load_config
from snakeval.config.model import Deployment
from snakeval.config.reading.tree import Node
from workspace import REPOSITORY

PARSER = REPOSITORY / "tests" / "fakes" / "parse_engine.py"
EXAMPLES = sorted((REPOSITORY / "config" / "examples").glob("*.yaml"))
SAMPLES = 30
TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=12)
SHARED: dict[str, st.SearchStrategy[Any]] = {
    "served_model_name": TEXT,
    "revision": st.none() | st.from_regex(r"[a-z0-9][a-z0-9._/-]{0,9}", fullmatch=True),
    "tensor_parallel_size": st.integers(1, 64),
    "pipeline_parallel_size": st.integers(1, 8),
    "data_parallel_size": st.integers(1, 8),
    "gpu_memory_utilization": st.none() | st.floats(0.01, 1.0),
    "max_model_len": st.none() | st.integers(1, 10**7),
    "dtype": st.sampled_from(["auto", "half", "float16", "bfloat16", "float", "float32"]),
    "quantization": st.sampled_from([None, "fp8", "awq", "gptq"]),
    "trust_remote_code": st.booleans(),
}
RECORD = 'printf "%s\\0" "$@" >"$RECORDS/part"; mv "$RECORDS/part" "$RECORDS/words"'
WORDS = {
    "vllm": [[], ["--max-num-seqs", "64"], ["--hf-overrides", '{"a": "b c"}', "--enforce-eager"], ["--seed=1"]],
    "sglang": [[], ["--max-running-requests", "64"], ["--disable-cuda-graph", "--random-seed=1"]],
}


@pytest.fixture
def programs(tmp_path: Path, engine: str) -> Iterator[Spies]:
    """Programs that record the words after what the launcher adds; Ray has all its nodes at once."""
    with spies_in(tmp_path) as found:
        found.program("vllm", RECORD)
        found.program("python3", f"shift 2\n{RECORD}" if engine == "sglang" else "echo 99")
        found.program("ray", "exit 0")
        # When the other nodes end, so does the server: not before it has been called.
        found.program("srun", "timeout 30 bash -c 'until [[ -e $RECORDS/words ]]; do sleep 0.01; done'")
        yield found


def _words(programs: Spies, deployment: Deployment, num_nodes: int = 1) -> list[str]:
    (programs.folder / "words").unlink(missing_ok=True)
    # An environment would go before the recording programs on PATH.
    here = replace(deployment, options=Node({**deployment.options, "runtime": "host"}))
    done = programs.run(here, num_nodes)
    assert (programs.folder / "words").exists(), (done.returncode, done.stderr)
    return (programs.folder / "words").read_bytes().decode().split("\0")[:-1]


def _deployments(engine: str) -> list[tuple[Deployment, int]]:
    """Return those of the golden scripts and of the examples, with the nodes that they use."""
    found = [(one, 2 if "two-nodes" in name else 1) for name, one in ENGINES.items() if one.type == engine]
    for example in EXAMPLES:
        config = load_config([example], {}, REPOSITORY, {}, check_environ=False)
        nodes = config.execution.options.get("num_nodes", 1)
        found += [(one, nodes) for one in config.deployments if one.type == engine]
    return [(one, nodes) for one, nodes in found if one.options["command"] is None]


def _parsed(engine: str, lines: list[list[str]], python: Path) -> list[dict[str, Any]]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python, PARSER, engine],
        input=json.dumps([*lines, [*lines[0], "--no-such-option"]]),
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *answers, wrong = json.loads(done.stdout.splitlines()[-1])
    assert "--no-such-option" in wrong["error"], "the parser refuses what it does not know"
    return list(answers)


NAMES = {
    "vllm": {
        "revision": "revision",
        "tensor_parallel_size": "tensor_parallel_size",
        "pipeline_parallel_size": "pipeline_parallel_size",
        "data_parallel_size": "data_parallel_size",
        "max_model_len": "max_model_len",
        "gpu_memory_utilization": "gpu_memory_utilization",
        "dtype": "dtype",
        "quantization": "quantization",
        "trust_remote_code": "trust_remote_code",
    },
    "sglang": {
        "revision": "revision",
        "tensor_parallel_size": "tp_size",
        "pipeline_parallel_size": "pp_size",
        "data_parallel_size": "dp_size",
        "max_model_len": "context_length",
        "gpu_memory_utilization": "mem_fraction_static",
        "dtype": "dtype",
        "quantization": "quantization",
        "trust_remote_code": "trust_remote_code",
    },
}


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_the_real_parser_takes_every_command(engine: str, programs: Spies) -> None:
    python = built_or_skip(f"{engine}-cpu")
    chosen: list[Deployment] = []

    @settings(max_examples=SAMPLES, database=None)
    @given(options=st.fixed_dictionaries(SHARED), words=st.sampled_from(WORDS[engine]), path=TEXT)
    def sample(options: dict[str, Any], words: list[str], path: str) -> None:
        weights = {"checkpoint_path": None, "hf_model_handle": "org/m"} if options["revision"] else {}
        plain = {"checkpoint_path": f"/models/{path}", "extra_args": words}
        chosen.append(make_deployment(type=engine, **{**plain, **weights, **options}))

    sample()
    cases = [*_deployments(engine), *((one, nodes) for one in chosen for nodes in (1, 2))]
    answers = _parsed(engine, [_words(programs, one, nodes) for one, nodes in cases], python)
    assert [answer["error"] for answer in answers if "error" in answer] == []
    for (deployment, nodes), answer in zip(cases, answers, strict=True):
        values, options = answer["values"], deployment.options
        name = values["served_model_name"]
        assert (name if engine == "sglang" else name[0]) == deployment.served_model_name
        assert (values["host"], values["port"], values["nnodes"]) == ("127.0.0.1", 4321, _nodes(deployment, nodes))
        for key, argument in NAMES[engine].items():
            if options[key] is not None:
                assert values[argument] == options[key], key


def _nodes(deployment: Deployment, nodes: int) -> int:
    """Return what the engine is told: Ray counts its nodes itself."""
    return 1 if deployment.options.get("distributed_executor_backend") == "ray" else nodes
