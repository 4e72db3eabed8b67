"""Processes that are killed or held up."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from chaos.kinds import results_of
from chaos.run_folder import Call
from chaos.trial import Fault, Trial
from chaos.trial_processes import processes_of, send, victims_of, wait_until

Act = Callable[[Trial, Call], bool]


def _signal_main(number: signal.Signals, group: bool) -> Act:
    def act(_trial: Trial, call: Call) -> bool:
        (os.killpg if group else os.kill)(call.process.pid, number)
        return True

    return act


def _signal_roles(number: signal.Signals, *roles: str) -> Act:
    def act(trial: Trial, call: Call) -> bool:
        first = trial.await_victims(call, roles[0])
        if not first:
            return False
        chosen = [trial.rng.choice(first)]
        chosen += [pid for role in roles[1:] for pid in victims_of(trial.run.mark, role)]
        for pid in chosen:
            send(pid, number)
        trial.evidence["victims"] = chosen
        return True

    return act


def _kill_everything(trial: Trial, _call: Call) -> bool:
    """As a power cut does: every process of the run at once."""
    there = processes_of(trial.run.mark)
    for pid in there:
        send(pid, signal.SIGKILL)
    return bool(there)


def _kill_task(trial: Trial, call: Call) -> bool:
    """Every attempt at one task is killed, as the kernel does for want of memory: the others have to go on."""
    deployment, task = trial.rng.choice(results_of(trial.run.config))
    log = str(trial.run.paths.task(deployment, task).log)
    killed: set[int] = set()
    while not wait_until(call.ended, 0.1) and time.monotonic() - call.began < trial.timeout_s:
        for pid in victims_of(trial.run.mark, "job"):
            if log in _open_files(pid):
                send(pid, signal.SIGKILL)
                killed.add(pid)
    trial.evidence |= {"task": f"{deployment}/{task}", "killed": len(killed)}
    return bool(killed)


def _open_files(pid: int) -> set[str]:
    try:
        return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()


def _kill_collectors(trial: Trial, call: Call) -> bool:
    """Every attempt at aggregate or report is killed, so that the run fails after its last task."""
    killed: set[int] = set()
    while not call.ended() and time.monotonic() - call.began < trial.timeout_s:
        for pid in victims_of(trial.run.mark, "collector"):
            send(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.05)
    trial.evidence["killed"] = len(killed)
    return bool(killed)


def _hold_server(trial: Trial, call: Call) -> bool:
    found = trial.await_victims(call, "server")
    if not found:
        return False
    send(found[0], signal.SIGSTOP)
    time.sleep(5)
    send(found[0], signal.SIGCONT)
    return True


def _hold_main(trial: Trial, call: Call) -> bool:
    trial.evidence["seconds"] = seconds = trial.rng.choice([2.0, 8.0, 40.0])
    send(call.process.pid, signal.SIGSTOP)
    time.sleep(seconds)
    send(call.process.pid, signal.SIGCONT)
    return True


_OF_MAIN = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FAULTS = (
    *(Fault(f"main-{one.name[3:].lower()}", _signal_main(one, group=False)) for one in _OF_MAIN),
    *(Fault(f"group-{one.name[3:].lower()}", _signal_main(one, group=True)) for one in _OF_MAIN),
    Fault("kill-supervisor", _signal_roles(signal.SIGKILL, "supervisor")),
    Fault("kill-server", _signal_roles(signal.SIGKILL, "server")),
    Fault("kill-server+supervisor", _signal_roles(signal.SIGKILL, "server", "supervisor")),
    Fault("kill-job", _signal_roles(signal.SIGKILL, "job")),
    Fault("term-job", _signal_roles(signal.SIGTERM, "job")),
    Fault("kill-ready", _signal_roles(signal.SIGKILL, "ready")),
    Fault("kill-harness", _signal_roles(signal.SIGKILL, "harness")),
    Fault("stop-server-forever", _signal_roles(signal.SIGSTOP, "server")),
    Fault("kill-everything", _kill_everything),
    Fault("kill-task", _kill_task),
    Fault("kill-aggregate", _kill_collectors),
    Fault("stop-server-5s", _hold_server),
    Fault("stop-main", _hold_main),
)
