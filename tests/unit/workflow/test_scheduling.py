"""The order of the steps of deployments, and what holds jobs back."""

from dataclasses import replace

import pytest
from builders import Job, make_config, make_deployment, make_execution, make_task
from snakeval.config.model import Config
from snakeval.workflow.scheduling import Scheduling, attempt_number


@pytest.fixture
def config() -> Config:
    """Two deployments of which one is limited, and a judge."""
    plain = make_config(
        deployments=[make_deployment("first", max_concurrency=8), make_deployment("second")],
        tasks=[make_task("sums", parallelism=3)],
    )
    return replace(plain, auxiliaries=(make_deployment("judge"),))


def test_teardown_comes_before_ready_before_evaluate(config: Config) -> None:
    scheduling, job = Scheduling(config), Job("second")
    assert scheduling.evaluate_priority(job) < scheduling.ready_priority(job) < scheduling.teardown_priority(job)


def test_deployments_come_in_their_order(config: Config) -> None:
    scheduling = Scheduling(config)
    assert scheduling.teardown_priority(Job("second")) < scheduling.evaluate_priority(Job("first"))
    assert scheduling.teardown_priority(Job("judge")) < scheduling.evaluate_priority(Job("second"))


def test_all_deployments_are_known_before_the_first_is_ready(config: Config) -> None:
    scheduling = Scheduling(config)
    assert scheduling.deploy_priority(Job("judge")) > scheduling.teardown_priority(Job("first"))


@pytest.mark.parametrize(
    ("max_deployments", "deployment", "slots"), [(1, "first", 1), (1, "judge", 0), (2, "first", 0), (2, "judge", 0)]
)
def test_one_ready_at_a_time_where_servers_take_turns(
    config: Config, max_deployments: int, deployment: str, slots: int
) -> None:
    limited = replace(config, execution=replace(config.execution, max_deployments=max_deployments))
    assert Scheduling(limited).ready_slot(Job(deployment)) == slots
    assert Scheduling(limited).limits()["ready"] == 1


def test_requests_are_a_resource_of_the_deployments_with_a_limit(config: Config) -> None:
    scheduling = Scheduling(config)
    assert scheduling.limits() == {"ready": 1, "requests_1": 8}
    (needed,) = scheduling.requests().values()
    assert (needed(Job("first", "sums")), needed(Job("second", "sums"))) == (3, 0)


def test_tasks_go_where_the_configuration_says(config: Config) -> None:
    assert Scheduling(config).task_job_resources() == {}
    slurm = make_execution(type="slurm", account="lab", cpu_partition="cpu", partition="gpu")
    named = Scheduling(replace(config, execution=slurm)).task_job_resources()
    assert named == {"slurm_account": "lab", "slurm_partition": "cpu"}


def test_a_job_knows_which_attempt_it_is() -> None:
    assert attempt_number(Job("first", "sums"), attempt=2) == 2
