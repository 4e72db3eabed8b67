"""Trials of many seeds in one folder: their undisturbed runs, their records, and a table of these."""

import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chaos.facts import Baseline, answers_of, facts_of
from chaos.kinds import config_of, results_of
from chaos.promises import check, repair
from chaos.run_folder import RunFolder
from chaos.trial import CALL_TIMEOUT_S, Fault, Trial, remove
from chaos.trial_processes import end_all

RECORDS = "trials.jsonl"


@dataclass
class Record:
    """What came of a trial."""

    seed: int
    fault: str
    kind: str
    repairs: int = 0
    took_s: float = 0.0
    evidence: dict[str, Any] = field(default_factory=dict)
    violations: list[dict[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        said = "; ".join(f"{one['kind']}: {one['what']}" for one in self.violations) or "fine"
        return f"{self.seed:6} {self.fault:24} {self.kind:8} {self.took_s:6.1f} s  {said}"


@dataclass(frozen=True)
class Campaign:
    """Trials that keep their folders below `work`.

    Attributes:
        keep: Whether the folders of trials that broke no promise are kept too.
    """

    work: Path
    timeout_s: float = CALL_TIMEOUT_S
    keep: bool = False

    def baseline(self, kind: str) -> Baseline:
        """Return the undisturbed run of a kind, measured when there is none of its configuration yet."""
        file = self.work / f"baseline-{kind}.json"
        config = config_of(kind)
        if kept := Baseline.read(file, json.dumps(config)):
            return kept
        run = RunFolder(self.work / f"undisturbed-{kind}", config, f"{self.work.name}-{kind}")
        run.prepare()
        call = run.start()
        try:
            status = call.process.wait(self.timeout_s)
        finally:
            end_all(run.mark)
        if status != 0:
            raise SystemExit(f"the undisturbed run failed:\n{call.text()[-3000:]}")
        tasks = {"/".join(names): facts_of(run.paths.task(*names)) for names in results_of(config)}
        took_s = round(time.monotonic() - call.began, 1)
        answers = answers_of(run.requests_log)
        measured = Baseline(json.dumps(config), tasks, answers, sum(answers.values()) or run.answered(), took_s)
        measured.write(file)
        remove(run.folder)
        return measured

    def trial(self, seed: int, fault: Fault, kind: str) -> Record:
        """Perform one trial, and keep its record."""
        baseline = self.baseline(kind)
        began = time.monotonic()
        record = Record(seed, fault.name, kind)
        trial = _trial(self, seed, fault, kind, baseline)
        try:
            if trial.break_it():
                record.repairs = repair(trial)
            if record.repairs:
                check(trial)
        finally:
            trial.clear()
            record.took_s = round(time.monotonic() - began, 1)
            record.evidence = trial.evidence
            record.violations = [asdict(one) for one in trial.violations]
            with (self.work / RECORDS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(record), default=str) + "\n")
        if not record.violations and not self.keep:
            remove(trial.run.folder)
        return record

    def table(self) -> str:
        """Return what the records say of each fault."""
        rows: dict[str, list[Record]] = defaultdict(list)
        for line in (self.work / RECORDS).read_text(encoding="utf-8").splitlines():
            one = Record(**json.loads(line))
            rows[one.fault].append(one)
        lines = [f"{'fault':26} {'runs':>4} {'bad':>4} {'sent twice':>10}  violations (seed: kind)"]
        lines += [_row(name, records) for name, records in sorted(rows.items())]
        return "\n".join([*lines, _row("total", [one for records in rows.values() for one in records], False)])


def _trial(campaign: Campaign, seed: int, fault: Fault, kind: str, baseline: Baseline) -> Trial:
    run = RunFolder(campaign.work / str(seed), {}, f"{campaign.work.name}-{seed}")
    trial = Trial(run, seed, fault, baseline, campaign.timeout_s)
    run.config = config_of(kind, trial.rng.choice([1, 1, 2]))
    return trial


def _row(name: str, records: list[Record], told: bool = True) -> str:
    bad = [one for one in records if one.violations]
    twice = sum(one.evidence.get("sent twice", 0) for one in records)
    said = [f"{one.seed}: {'+'.join(sorted({v['kind'] for v in one.violations}))}" for one in bad]
    return f"{name:26} {len(records):4} {len(bad):4} {twice:10}  {', '.join(said) if told else ''}".rstrip()
