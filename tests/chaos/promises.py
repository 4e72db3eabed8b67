"""What Snakeval promises of a run that was broken: the command, repeated, gives what an undisturbed run gives."""

from chaos.facts import answers_of, difference, digest_of, excerpt, facts_of, values_of_results, values_of_summary
from chaos.kinds import deployments_of, results_of
from chaos.run_folder import TRACEBACK
from chaos.trial import Trial
from chaos.trial_processes import Process, processes_of, wait_until

MAX_REPAIRS = 4
LEFTOVER_S = 20


def repair(trial: Trial) -> int:
    """Repeat the command until it succeeds; return how many calls it took, 0 when none did."""
    for control in trial.run.folder.glob("control-*.json"):
        control.unlink()
    for number in range(1, MAX_REPAIRS + 1):
        before, unrecorded = trial.run.recorded(), trial.run.unrecorded()
        call = trial.run.start()
        status = trial.finish(call)
        if TRACEBACK in call.text():
            trial.violate(
                "traceback", f"repair call {number} printed a traceback", excerpt(call.text(), "Traceback", 14)
            )
        after = trial.run.recorded()
        changed = [str(one) for one in before if after.get(one) != before[one] and one not in trial.spared]
        if changed:
            trial.violate("touched", f"finished files changed in repair call {number}: {', '.join(changed)}")
        redone = [
            str(one) for one, digest in unrecorded.items() if one not in trial.spared and digest_of(one) != digest
        ]
        if redone:
            trial.evidence["redone though written"] = redone
        if status == 0:
            if number > 1:
                said = excerpt(trial.run.calls[-2].text(), "rror", 12)
                trial.violate("repairs", f"{number} calls were needed", said)
            return number
    trial.violate("unrepaired", f"{MAX_REPAIRS} calls did not repair the run", trial.run.calls[-1].text()[-2500:])
    return 0


def check(trial: Trial) -> None:
    """Compare a repaired run with the undisturbed one."""
    _check_processes(trial)
    _check_results(trial)
    _check_files(trial)
    _check_summary(trial)
    answers = answers_of(trial.run.requests_log)
    expected = trial.baseline.answers
    trial.evidence["sent twice"] = sum(max(0, count - expected.get(key, 0)) for key, count in answers.items())
    again = trial.run.start()
    status = trial.finish(again)
    if status != 0 or "Nothing to be done" not in again.text():
        trial.violate("replanned", f"a second call found something to do, status {status}", again.text()[-1500:])


def _check_processes(trial: Trial) -> None:
    left: dict[int, Process] = {}

    def none_left() -> bool:
        left.clear()
        left.update(processes_of(trial.run.mark))
        return not left

    if not wait_until(none_left, LEFTOVER_S):
        trial.violate("leftover", f"{len(left)} processes are left", [str(one) for one in left.values()])


def _check_results(trial: Trial) -> None:
    for deployment, task in results_of(trial.run.config):
        name = f"{deployment}/{task}"
        try:
            got = facts_of(trial.run.paths.task(deployment, task))
        except Exception as error:
            trial.violate("damaged", f"{name}: {type(error).__name__}: {error}")
            continue
        for part, expected in trial.baseline.tasks[name].items():
            if got[part] != expected:
                said = difference(expected, got[part])
                trial.violate("wrong", f"{name}: {part} differ from the undisturbed run", said)


def _check_files(trial: Trial) -> None:
    """What a run that has succeeded leaves is all there."""
    paths = trial.run.paths
    servers = [paths.server(name) for name in deployments_of(trial.run.config)]
    of_servers = [file for server in servers for file in (server.deployment, server.teardown)]
    of_run = [paths.summary("csv"), paths.summary("md"), paths.report, paths.lock_file, paths.resolved_config]
    for file in (*of_run, *of_servers):
        if not file.exists() or not file.stat().st_size:
            found = "empty" if file.exists() else "missing"
            trial.violate("incomplete", f"{file.relative_to(paths.root)} is {found} after status 0")


def _check_summary(trial: Trial) -> None:
    try:
        said = values_of_summary(trial.run.paths.summary("json"))
    except Exception as error:
        trial.violate("summary", f"summary.json: {type(error).__name__}: {error}")
        return
    expected = values_of_results(trial.baseline.tasks)
    if said != expected:
        difference_ = difference(sorted(expected.items()), sorted(said.items()))
        trial.violate("summary", "summary.json is not that of the undisturbed run", difference_)
