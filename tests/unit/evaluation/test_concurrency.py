"""What tasks may send together to a deployment with a limit."""

from dataclasses import dataclass, replace

import pytest
from builders import make_deployment, make_task
from snakeval.config.model import Deployment
from snakeval.evaluation.concurrency import RequestResources, requests_of, within_limit


@dataclass(frozen=True)
class Wildcards:
    """What Snakemake hands to a resource function."""

    deployment: str
    task: str


def _deployment(name: str, limit: int | None) -> Deployment:
    return make_deployment(name, max_concurrency=limit)


@pytest.mark.parametrize(
    ("own", "limit", "expected"), [(8, None, 8), (8, 3, 3), (2, 3, 2), (None, 3, 3), (None, None, 1)]
)
def test_a_task_stays_within_the_limit(own: int | None, limit: int | None, expected: int) -> None:
    task = make_task("sums", parallelism=own)
    assert requests_of(_deployment("a", limit), task) == expected
    limited = within_limit(_deployment("a", limit), task)
    assert limited.settings["parallelism"] == (own if limit is None else expected)


def test_only_deployments_with_a_limit_have_a_resource_and_jobs_take_of_their_own() -> None:
    tasks = {"few": make_task("few", parallelism=2), "many": make_task("many", parallelism=99)}
    resources = RequestResources([_deployment("a.b", 5), _deployment("free", None), _deployment("a-b", 7)], tasks)
    assert resources.limits() == {"requests_1": 5, "requests_3": 7}
    needs = resources.needs()
    taken = {name: need(Wildcards("a-b", "many")) for name, need in needs.items()}
    assert taken == {"requests_1": 0, "requests_3": 7}
    assert needs["requests_1"](Wildcards("a.b", "few")) == 2
    assert all(need(Wildcards("free", "few")) == 0 for need in needs.values())


def test_a_task_takes_of_the_limits_of_what_it_uses_as_well() -> None:
    judged = replace(make_task("judged", parallelism=4), auxiliaries=("judge",))
    resources = RequestResources([_deployment("a", None), _deployment("judge", 6)], {"judged": judged})
    assert resources.limits() == {"requests_2": 6}
    assert resources.needs()["requests_2"](Wildcards("a", "judged")) == 4
