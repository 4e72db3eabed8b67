"""SIGTERM and SIGHUP as Ctrl-C: on Lepton a job that nobody cancels is paid for."""

import signal
import threading

# An interruption that falls where Python drops exceptions (a finalizer, say) is repeated until it is heard.
AGAIN_S = 5.0


def take_signals() -> None:
    """Make SIGTERM and SIGHUP cancel the jobs as Ctrl-C does, unless somebody else has taken them.

    Snakemake would wait for its jobs on SIGTERM and die without cancelling on SIGHUP. Under nohup SIGHUP is ignored and
    stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        present = signal.getsignal(number)
        if present is signal.SIG_DFL or getattr(present, "__name__", "") == "exit_gracefully":
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGALRM, _interrupt_again)
    signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)
    raise KeyboardInterrupt


def _interrupt_again(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def hold_signals() -> None:
    """Let nothing interrupt the cancelling."""
    if threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _ignore)


def _ignore(_number: int, _frame: object) -> None:
    """Stand in for SIG_IGN, which processes that are started later would inherit."""
