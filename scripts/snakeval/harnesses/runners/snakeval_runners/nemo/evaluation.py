"""One task from its request to its outcome."""

import re
from importlib import metadata
from pathlib import Path

import yaml

from ..shared.failures import RunnerError
from ..shared.fields import Fields
from ..shared.outcome import OutcomeRecord, SampleCounts, write_outcome
from ..shared.samples import write_samples
from .adapter import complete_run_config
from .evidence import read_evidence
from .evidence.model import Evidence
from .journal import Journal
from .process import evaluator_command, run_evaluator
from .request import NemoRequest
from .results import build_metrics

_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|NotFound|Interrupt)\b.*", re.MULTILINE)
_WRAPPER = "RuntimeError: Evaluation failed"
_DATASET = re.compile(
    r"^.*(?:on the Hub|DatasetNotFoundError|LocalEntryNotFoundError|FileNotFoundError: .*dataset).*", re.MULTILINE
)


def evaluate(request: NemoRequest) -> None:
    """Run the task; write samples.jsonl and outcome.json.

    Raises:
        RunnerError: it failed, or not every sample has an answer, whatever nemo-evaluator says.
    """
    start = request.journal_path.stat().st_size if request.journal_path.exists() else 0
    request.output_path.mkdir(parents=True)
    run_config = request.output_path.with_name("run_config.yaml")
    run_config.write_text(yaml.safe_dump(complete_run_config(request)), encoding="utf-8")
    status, tail = run_evaluator(evaluator_command(run_config), request.progress_path)
    journal = Journal(request.journal_path, start)
    results = _read_results(request.output_path / "results.yml")
    if journal.unanswered:
        raise RunnerError("endpoint", journal.describe())
    if status != 0 or results is None:
        raise _failure(request, status, tail)
    if not journal.answered:
        raise RunnerError("harness", f"{request.framework} has sent no request and reports a result all the same")
    evidence = read_evidence(request, journal)
    _check_counts(request, evidence)
    write_samples(request.samples_path, evidence.samples)
    write_outcome(request.outcome_path, _outcome(request, results, evidence))


def _read_results(path: Path) -> Fields | None:
    if not path.exists():
        return None
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Fields(content["results"]) if isinstance(content, dict) and content.get("results") else None


def _failure(request: NemoRequest, status: int, tail: str) -> RunnerError:
    """Return the reason, as far as the output tells it."""
    if missing := _DATASET.findall(tail):
        reason = f"the dataset of task {request.task} cannot be loaded: {missing[-1].strip()[:300]}"
        hint = "without access to it, set evaluation.data_dir to a folder that holds a copy (docs/tasks.md)"
        return RunnerError("harness", f"{reason}; {hint}")
    found = [line for line in _EXCEPTION.findall(tail) if not line.startswith(_WRAPPER)]
    reason = f": {found[-1].strip()[:400]}" if found else "; its log says more"
    what = f"ended with exit status {status}" if status else "ended without results.yml"
    return RunnerError("harness", f"{request.framework} {what}{reason}")


def _check_counts(request: NemoRequest, evidence: Evidence) -> None:
    asked = evidence.asked
    if evidence.unanswered:
        example = f", e.g. '{evidence.example[:200]}'" if evidence.example else ""
        raise RunnerError("endpoint", f"{evidence.unanswered} of {asked} samples got no answer{example}")
    if asked < 1:
        raise RunnerError("harness", f"{request.framework} reports a result of no sample")
    if request.limit is not None and asked > request.limit * evidence.limited_parts:
        raise RunnerError("harness", f"{asked} samples were scored, but only {request.limit} were asked for")


def _outcome(request: NemoRequest, results: Fields, evidence: Evidence) -> OutcomeRecord:
    return OutcomeRecord(
        metrics=build_metrics(results, evidence, request),
        samples=SampleCounts(evidence.asked, evidence.asked),
        versions=_versions(request) | dict(evidence.versions),
    )


def _versions(request: NemoRequest) -> dict[str, object]:
    versions: dict[str, object] = {"container": request.image} if request.image else {}
    for name in ("nemo-evaluator", request.package):
        try:
            versions[name] = metadata.version(name)
        except (metadata.PackageNotFoundError, ValueError):
            if not request.image:
                raise
    return versions
