"""One task from its request to its outcome."""

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from ..shared.failures import RunnerError
from ..shared.progress import write_json
from .adapter import complete_run_config
from .evidence import read_evidence
from .evidence.model import Evidence
from .journal import Account, read_account, read_lines
from .process import evaluator_command, run_evaluator
from .request import RunRequest
from .results import build_metrics

_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|NotFound|Interrupt)\b.*", re.MULTILINE)
_WRAPPER = "RuntimeError: Evaluation failed"
_DATASET = re.compile(
    r"^.*(?:on the Hub|DatasetNotFoundError|LocalEntryNotFoundError|FileNotFoundError: .*dataset).*", re.MULTILINE
)


def evaluate(request: RunRequest) -> None:
    """Run the task; write samples.jsonl and outcome.json.

    Raises:
        RunnerError: it failed, or not every sample has an answer, whatever nemo-evaluator says.
    """
    request.output_path.mkdir(parents=True)
    run_config = request.output_path.with_name("run_config.yaml")
    run_config.write_text(yaml.safe_dump(complete_run_config(request)), encoding="utf-8")
    status, tail = run_evaluator(evaluator_command(run_config), request.progress_path)
    account = read_account(read_lines(request.events_path))
    results = _read_results(request.output_path / "results.yml")
    if account.unanswered:
        raise RunnerError("endpoint", account.describe())
    if status != 0 or results is None:
        raise _failure(request, status, tail)
    if account.sent + account.resumed == 0:
        raise RunnerError("harness", f"{request.framework} has sent no request and reports a result all the same")
    evidence = read_evidence(request)
    _check_counts(request, evidence)
    _write_samples(request.samples_path, evidence)
    write_json(request.outcome_path, _outcome(request, results, evidence, account))


def _read_results(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return dict(content["results"]) if isinstance(content, dict) and content.get("results") else None


def _failure(request: RunRequest, status: int, tail: str) -> RunnerError:
    """Return the reason, as far as the output tells it."""
    if missing := _DATASET.findall(tail):
        reason = f"the dataset of task {request.task} cannot be loaded: {missing[-1].strip()[:300]}"
        hint = "without access to it, set evaluation.data_dir to a folder that holds a copy (docs/tasks.md)"
        return RunnerError("harness", f"{reason}; {hint}")
    found = [line for line in _EXCEPTION.findall(tail) if not line.startswith(_WRAPPER)]
    reason = f": {found[-1].strip()[:400]}" if found else "; its log says more"
    what = f"ended with exit status {status}" if status else "ended without results.yml"
    return RunnerError("harness", f"{request.framework} {what}{reason}")


def _check_counts(request: RunRequest, evidence: Evidence) -> None:
    asked = evidence.asked
    if evidence.unanswered:
        example = f", e.g. '{evidence.example[:200]}'" if evidence.example else ""
        raise RunnerError("endpoint", f"{evidence.unanswered} of {asked} samples got no answer{example}")
    if asked < 1:
        raise RunnerError("harness", f"{request.framework} reports a result of no sample")
    if request.limit is not None and asked > request.limit * evidence.limited_parts:
        raise RunnerError("harness", f"{asked} samples were scored, but only {request.limit} were asked for")


def _write_samples(path: Path, evidence: Evidence) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", errors="replace") as file:
        for sample in evidence.samples:
            file.write(json.dumps(sample, ensure_ascii=False, default=str) + "\n")
    temporary.replace(path)


def _outcome(request: RunRequest, results: dict[str, Any], evidence: Evidence, account: Account) -> dict[str, Any]:
    return {
        "metrics": build_metrics(results, evidence, request),
        "samples": {"asked": evidence.asked, "answered": evidence.asked, "failed": 0},
        "tokens": _tokens(request.answers_path),
        "requests": {"sent": account.sent, "cached": account.resumed, "retried": account.failures},
        "versions": _versions(request) | dict(evidence.versions),
    }


def _versions(request: RunRequest) -> dict[str, str]:
    versions = {"container": request.image} if request.image else {}
    for name in ("nemo-evaluator", request.package):
        try:
            versions[name] = metadata.version(name)
        except (metadata.PackageNotFoundError, ValueError):
            if not request.image:
                raise
    return versions


def _tokens(answers: Path) -> dict[str, int | None]:
    sums: dict[str, int | None] = {"prompt": None, "completion": None}
    for line in read_lines(answers):
        usage = json.loads(line["body"]).get("usage")
        for name in sums:
            count = usage.get(f"{name}_tokens") if isinstance(usage, dict) else None
            if isinstance(count, int):
                sums[name] = (sums[name] or 0) + count
    return sums
