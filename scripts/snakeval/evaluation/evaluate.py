"""Runs one task's harness against a deployment, watches both, and turns the outcome into a result."""

import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import reduce
from typing import IO

from snakeval.backends import backend_of
from snakeval.config.model import Config, Deployment, Task
from snakeval.endpoint import Endpoint
from snakeval.evaluation.auxiliary import with_auxiliaries
from snakeval.evaluation.comeback import ServerComesBack
from snakeval.evaluation.concurrency import within_limit
from snakeval.evaluation.gateway import Behind, TaskGateway, gateway
from snakeval.evaluation.harness_process import Count, HarnessRun, run_harness
from snakeval.evaluation.watch import Watch
from snakeval.harnesses import harness_of
from snakeval.results.result import build_result
from snakeval.results.samples import Sample, read_table, write_samples
from snakeval.results.uncertainty import with_uncertainty
from snakeval.run.attempt import evaluation_fingerprint
from snakeval.run.claims import await_predecessors, claim
from snakeval.run.gateway_paths import GatewayPaths
from snakeval.run.harness_paths import HarnessPaths
from snakeval.run.heartbeat import SILENCE_S, SessionWatch
from snakeval.run.paths import RunPaths, TaskPaths, auxiliary_user
from snakeval.serving.servers import probe_protocol, reach_deployment
from snakeval.system.files import write_text
from snakeval.system.hashing import sha256_hex
from snakeval.system.say import Say


def evaluate(
    config: Config,
    deployment: Deployment,
    task: Task,
    attempt: int,
    log: IO[str],
    say: Say,
    count: Count = lambda _: None,
) -> None:
    """Rule evaluate: run the task and write result.json and samples.jsonl.gz; nothing is written unless it succeeds.

    Args:
        config: The run.
        deployment: What is evaluated; its server is started again when it is gone.
        task: The task.
        attempt: Of the rule, from 1.
        log: Open log of the task; the harness writes into it too.
        say: Where progress goes, a line at a time.
        count: Where every count of samples goes.

    Raises:
        DeploymentError, EndpointError: infrastructure failed; a retry resumes where this attempt ended.
        HarnessError: the task cannot be scored.
    """
    paths = RunPaths(config.folder)
    files = paths.task(deployment.name, task.name)
    harness = harness_of(task.module or task.harness)
    limited_task = reduce(lambda limited, used: within_limit(used, limited), (deployment, *config.used_by(task)), task)
    await_predecessors(paths, deployment.name, task.name, say)
    with _servers_claimed(paths, deployment, task):
        started_at, starts = time.time(), 0
        while True:
            watch, endpoint, auxiliary_endpoints = _reach(config, deployment, task, attempt, say)
            _prepare(HarnessPaths(files.harness), deployment, task)
            ready_task, keys = with_auxiliaries(limited_task, auxiliary_endpoints)
            lives = _lives(HarnessPaths(files.harness))
            behind = Behind(config, deployment, ready_task, endpoint, watch.evaluated, harness, attempt, lives, starts)
            try:
                task_gateway = _run(behind, watch, files, log, say, count, keys)
                break
            except ServerComesBack as interruption:
                starts = max(starts, interruption.starts)
                say(f"{interruption}; waiting for it, then going on with what is not answered yet")
        outcome, answers = task_gateway.counted(harness.outcome(files.harness))
        outcome = with_uncertainty(outcome, read_table(map(Sample.of, harness.samples(files.harness))))
        result = build_result(config, deployment, task, outcome, started_at, time.time(), attempt, answers)
        write_samples(files.samples, harness.samples(files.harness))
        result.write(files.result)
        _forget_attempt(HarnessPaths(files.harness))


def _run(
    behind: Behind, watch: Watch, files: TaskPaths, log: IO[str], say: Say, count: Count, keys: Mapping[str, str]
) -> TaskGateway:
    """Run the harness behind a gateway to its end; return the gateway, which has counted and has ended too."""
    where = GatewayPaths(files.folder)
    watch = replace(watch, comeback=behind.comeback(watch, where, say))
    with gateway(behind, where, log, say) as task_gateway:
        harness = (behind.task, files.harness, behind.harness)
        run_harness(HarnessRun(behind.config, *harness, watch, log, say, count, task_gateway, keys))
    task_gateway.refuse_unanswered()
    return task_gateway


@contextmanager
def _servers_claimed(paths: RunPaths, deployment: Deployment, task: Task) -> Iterator[None]:
    """Claim the servers that the task uses, while the block runs."""
    with ExitStack() as claims:
        claims.enter_context(claim(paths, deployment.name, task.name))
        for name in task.auxiliaries:
            claims.enter_context(claim(paths, name, auxiliary_user(deployment.name, task.name)))
        yield


def _reach(
    config: Config, deployment: Deployment, task: Task, attempt: int, say: Say
) -> tuple[Watch, Endpoint, list[tuple[Deployment, Endpoint]]]:
    """Return the endpoint that is evaluated, those of the auxiliary deployments, and what watches all of them."""
    paths = RunPaths(config.folder)
    session = SessionWatch(paths.session, min(SILENCE_S, config.execution.idle_timeout_s))
    server, endpoint = reach_deployment(config, deployment, task.protocol, attempt, say)
    servers = {deployment.name: server}
    auxiliary_endpoints = []
    for auxiliary in config.used_by(task):
        protocol = probe_protocol(auxiliary)
        servers[auxiliary.name], auxiliary_endpoint = reach_deployment(config, auxiliary, protocol, attempt, say)
        auxiliary_endpoints.append((auxiliary, auxiliary_endpoint))
    return Watch(backend_of(config), paths, servers, session), endpoint, auxiliary_endpoints


def _prepare(files: HarnessPaths, deployment: Deployment, task: Task) -> None:
    """Keep the harness's folder when it belongs to an interrupted attempt of the very same evaluation."""
    own = sha256_hex(evaluation_fingerprint(deployment.fingerprint, task.fingerprint))
    if not files.evaluation.exists() or files.evaluation.read_text(encoding="utf-8") != own:
        shutil.rmtree(files.folder, ignore_errors=True)
        write_text(files.evaluation, own)
    shutil.rmtree(files.data_cache, ignore_errors=True)


def _lives(files: HarnessPaths) -> list[str]:
    """Return the lives that the harness has had in this evaluation, with one that begins now."""
    earlier = files.lives.read_text(encoding="utf-8").split() if files.lives.exists() else []
    lives = [*earlier, secrets.token_hex(8)]
    write_text(files.lives, "\n".join(lives))
    return lives


def _forget_attempt(files: HarnessPaths) -> None:
    """Remove what let a killed task resume: it must not answer for a later, complete evaluation."""
    files.evaluation.unlink()
    shutil.rmtree(files.data_cache, ignore_errors=True)
