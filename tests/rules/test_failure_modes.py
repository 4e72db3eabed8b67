"""Every harness in every way of failing: a failed task with the right message, and never a score."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_bench import CommandBench
from failure_table import MODES, TABLE, Failure
from fakes.openai_server import FakeOpenAIServer
from inspect_bench import InspectBench, InspectEvalsBench
from lm_eval_bench import CHOOSE, GENERATE, LmEvalBench
from nemo_bench import TASKS, NemoBench, nemo_bench
from runner_bench import TIMEOUT_S, Guarded, RunnerBench
from snakeval.errors import EndpointError, HarnessError, SnakevalError

CASES = [
    pytest.param(harness, mode, failure, id=f"{harness}-{mode}".replace(" ", "-"))
    for harness, modes in TABLE.items()
    for mode, failure in modes.items()
    if isinstance(failure, Failure) and mode != "killed"
]
KILLS = [
    pytest.param(harness, failure, id=harness.replace(" ", "-"))
    for harness, modes in TABLE.items()
    if isinstance(failure := modes["killed"], Failure)
]
KEY = "sk-of-the-endpoint"
SIX = ("Answer: A #### 42", "Answer: A #### 42", *["Answer: B"] * 4)


@pytest.fixture
def bench_of(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], RunnerBench]:
    """Make a bench of a harness with a task of four questions."""

    def make(harness: str) -> RunnerBench:
        if harness == "command":
            return CommandBench(tmp_path, Path())
        if harness in TASKS:
            return nemo_bench(tmp_path, harness)
        family = harness.split()[0]
        python = request.getfixturevalue(f"{family.replace('-', '_')}_python")
        kind = {"lm-eval": LmEvalBench, "inspect": InspectBench, "inspect_evals": InspectEvalsBench}[family]
        made = kind(tmp_path, python)
        made.preloaded = request.getfixturevalue(f"preloaded_{family.replace('-', '_')}")
        if harness == "lm-eval loglikelihood":
            made.settings["protocol"] = "loglikelihood"
        _ask(made, "yes", "yes", "yes", "no")
        return made

    return make


def _ask(bench: RunnerBench, *answers: str) -> None:
    """Give task `mini` questions that the server is told to answer so."""
    rows = [{"q": f"q{number} [[answer:{answer}]]", "a": "yes"} for number, answer in enumerate(answers)]
    if isinstance(bench, NemoBench | InspectEvalsBench):
        bench.ask(*answers)
    elif isinstance(bench, InspectBench):
        bench.define("mini", rows)
    elif isinstance(bench, LmEvalBench):
        chosen = bench.settings.get("protocol") == "loglikelihood"
        bench.define("mini", CHOOSE if chosen else GENERATE, [row | {"a": 0} for row in rows] if chosen else rows)


def test_the_table_is_complete() -> None:
    for harness, modes in TABLE.items():
        assert tuple(modes) == MODES, harness
        reasons = [mode for mode in modes.values() if isinstance(mode, str)]
        reported = [mode.report for mode in modes.values() if isinstance(mode, Failure) and mode.report]
        assert all(len(reason) > 10 for reason in reasons)
        assert reported or not str(modes["own report"]).startswith("beside"), harness
    assert {"lm-eval chat", "lm-eval loglikelihood", "inspect", "inspect_evals", "command", *TASKS} == set(TABLE)


@pytest.mark.parametrize(("harness", "mode", "failure"), CASES)
def test_a_failure_is_told_and_never_a_score(
    bench_of: Callable[[str], RunnerBench], harness: str, mode: str, failure: Failure
) -> None:
    bench = bench_of(harness)
    tries = failure.options.get("max_retries", 0) + 1
    with (
        FakeOpenAIServer(api_key=KEY, faults=failure.faults) as server,
        bench.before(server, KEY if failure.has_key else None, tries) as asked,
    ):
        if failure.dead:
            server.close()
        if failure.no_data:
            bench.lose_data()
        ended = bench.run(asked, **failure.options)
    verdict = ended.verdict
    assert isinstance(verdict, SnakevalError), mode
    assert failure.message in str(verdict), ended.log
    assert isinstance(verdict, EndpointError if failure.kind == "endpoint" else HarnessError)
    assert ended.read("outcome") is None
    if failure.no_data:
        assert server.payloads == []
    if harness != "command":
        assert ended.status == 1
        assert str(verdict) == ended.read("error")["message"]
        assert "Traceback" not in str(verdict)
    if failure.report:
        assert list(bench.work_dir.glob(failure.report)), "the harness writes one all the same"


@pytest.mark.parametrize(("harness", "failure"), KILLS)
def test_after_a_kill_only_the_unanswered_is_asked(
    bench_of: Callable[[str], RunnerBench], harness: str, failure: Failure
) -> None:
    """Nothing of the killed attempt goes on, and none of its answers is asked for again."""
    bench = bench_of(harness)
    _ask(bench, *(SIX if isinstance(bench, NemoBench) else ["yes", "yes", "yes", "no", "no", "no"]))
    options: dict[str, Any] = {"parallelism": 1, **({"limit": 6} if isinstance(bench, NemoBench) else {})}
    before = (failure.held_after or 0) + failure.probes
    with (
        FakeOpenAIServer(api_key=KEY, faults=(f"hold-after:{before}", *failure.faults)) as server,
        bench.before(server, KEY, tries=1) as asked,
    ):
        process = bench.start(bench.command(asked, **options))
        server.wait_for_requests(before + 1, TIMEOUT_S)
        process.kill()
        assert process.wait(10) == -9
        if isinstance(asked, Guarded):
            asked.gateway.process.kill()
        verdict = bench.ended(-9).verdict
        assert isinstance(verdict, HarnessError)
        assert failure.message in str(verdict)
        if failure.requests:
            assert bench.answers == failure.held_after
            _resume(bench, failure, options)
        sent = len(server.payloads)
        server.release()
    assert len(server.payloads) == sent == before + 1


def _resume(bench: RunnerBench, failure: Failure, options: dict[str, Any]) -> None:
    rest = failure.requests - (failure.held_after or 0)
    # What a kill has cut short is no answer, and does not spoil the next one.
    with bench.answers_path.open("a") as file:
        file.write('{"key": "cut sho')
    with FakeOpenAIServer(api_key=KEY, faults=failure.faults) as other, bench.before(other, KEY, tries=1) as asked:
        ended = bench.run(asked, **options)
        told = asked.gateway.end() if isinstance(asked, Guarded) else None
    assert ended.status == 0, ended.log
    assert len(other.payloads) == rest + failure.probes
    outcome = bench.harness.outcome(bench.work_dir)
    counts = (told.sent, told.remembered) if told else (outcome.requests_sent, outcome.requests_cached)
    assert (*counts, outcome.asked) == (rest, failure.held_after, 6)
    assert len(ended.samples) == 6
