"""What users do to a run: move it, call it twice, edit its configuration, stop it, look on."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from chaos.kinds import deployments_of
from chaos.run_folder import TRACEBACK, Call
from chaos.trial import Fault, Trial
from chaos.trial_processes import end_all, processes_of, send, wait_until

EDITS = ("limit", "limit", "seed", "garbage", "without", "gone", "parallelism", "model")


def _remove_snakemake_folder(trial: Trial, _call: Call) -> bool:
    shutil.rmtree(trial.run.snakemake_folder)
    return True


def _move_away(trial: Trial) -> Path:
    away = trial.run.folder / "away"
    trial.run.output.rename(away)
    return away


def _move_back(trial: Trial, away: Path) -> None:
    if trial.run.output.exists():
        trial.run.output.rename(trial.run.folder / "meanwhile")
    away.rename(trial.run.output)


def _move_between(trial: Trial, _call: Call) -> bool:
    """Somebody moves the results away, calls without them, and moves them back."""
    away = _move_away(trial)
    call = trial.run.start()
    wait_until(call.ended, trial.rng.uniform(2, 12))
    send(call.process.pid, signal.SIGINT)
    trial.finish(call)
    _move_back(trial, away)
    return True


def _move_live(trial: Trial, call: Call) -> bool:
    away = _move_away(trial)
    wait_until(call.ended, trial.rng.choice([0.3, 1.5, 5.0]))
    _move_back(trial, away)
    return True


def _two_at_once(trial: Trial, call: Call) -> bool:
    """A second call while the first one works: it has to leave it alone."""
    second = trial.run.start()
    status = trial.finish(second)
    first = trial.finish(call)
    trial.evidence |= {"second status": status, "second says": second.text().strip()[-300:]}
    if first != 0:
        trial.violate("disturbed", f"a second call ended the first one with status {first}", call.text()[-1500:])
    return True


def _two_from_the_start(trial: Trial, call: Call) -> bool:
    """Both at once from nothing: one of them has to do it all."""
    send(call.process.pid, signal.SIGKILL)
    trial.finish(call)
    end_all(trial.run.mark)
    trial.run.prepare()
    pair = [trial.run.start(), trial.run.start()]
    statuses = [trial.finish(one) for one in pair]
    trial.evidence["statuses"] = statuses
    if 0 not in statuses:
        said = "".join(one.text()[-700:] for one in pair)
        trial.violate("disturbed", f"of two calls at once neither succeeded: {statuses}", said)
    return True


def _second_while_killed(trial: Trial, call: Call) -> bool:
    number = trial.rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    pause = trial.rng.choice([0.0, 0.2, 1.0, 3.0])
    send(call.process.pid, number)
    time.sleep(pause)
    second = trial.run.start()
    status = trial.finish(second)
    trial.evidence |= {"signal": number.name, "pause": pause}
    trial.evidence |= {"second status": status, "second says": second.text().strip()[-200:]}
    return True


def _edit_config(trial: Trial, call: Call) -> bool:
    """Edited while it runs, back again before the next call: what is measured has to be what was asked for."""
    file = trial.run.configfile
    before = file.read_text(encoding="utf-8")
    trial.evidence["edit"] = edit = trial.rng.choice(EDITS)
    if edit == "gone":
        file.unlink()
    else:
        file.write_text("{]" if edit == "garbage" else json.dumps(_edited(json.loads(before), edit)), encoding="utf-8")
    trial.finish(call)
    file.write_text(before, encoding="utf-8")
    return True


def _edited(config: dict[str, Any], edit: str) -> dict[str, Any]:
    if edit == "limit":
        for task in config["evaluation"]["tasks"]:
            task["limit"] = max(2, task["limit"] // 2)
    elif edit == "seed":
        config["evaluation"]["seed"] = 4321
    elif edit == "parallelism":
        config["evaluation"]["parallelism"] = 2
    elif edit == "without":
        config["evaluation"]["tasks"].pop()
    elif edit == "model":
        for one in config["deployments"]:
            one |= {"max_model_len": 512} if one["type"] == "llamacpp" else {"env_vars": {"X": "lit:1"}}
    return config


def _stop(trial: Trial, call: Call) -> bool:
    words = trial.rng.choice([["stop"], ["stop"], ["stop", deployments_of(trial.run.config)[0]]])
    done = trial.run.snakeval(*words, timeout_s=trial.timeout_s)
    said = (done.stdout + done.stderr).strip()
    trial.evidence |= {"words": words, "status": done.returncode, "says": said[-300:]}
    if TRACEBACK in done.stderr:
        trial.violate("traceback", "snakeval stop printed a traceback", done.stderr[-1500:])
    if words == ["stop"] and done.returncode == 0:
        trial.finish(call)
        if not wait_until(lambda: not processes_of(trial.run.mark), 5):
            left = [str(one) for one in processes_of(trial.run.mark).values()]
            trial.violate("leftover", "after snakeval stop", left)
    return True


def _look_on(trial: Trial, call: Call) -> bool:
    while not call.ended() and time.monotonic() - call.began < trial.timeout_s:
        done = trial.run.snakeval("status", "--json", timeout_s=trial.timeout_s)
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-800:]
            trial.violate("status", f"snakeval status ended with {done.returncode}", said)
        time.sleep(0.5)
    return True


ENDED_SOMEHOW = ("complete", "SIGINT", "SIGKILL", "SIGKILL")
FAULTS = (
    Fault("no-.snakemake", _remove_snakemake_folder, between=ENDED_SOMEHOW),
    Fault("moved-between", _move_between, between=ENDED_SOMEHOW),
    Fault("moved-live", _move_live),
    Fault("two-at-once", _two_at_once),
    Fault("two-from-the-start", _two_from_the_start),
    Fault("second-while-killed", _second_while_killed),
    Fault("config-edited", _edit_config),
    Fault("stop-command", _stop),
    Fault("status-meanwhile", _look_on),
)
