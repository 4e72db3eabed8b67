"""Begins and ends the session of a run, and prints at its end what there is. No rules."""

from snakeval.workflow.session import end_if_unusable, write_resolved_config


def begin_session() -> None:
    """Own the run, or end at once when another Snakemake works on it, or its backend or a harness cannot be used."""
    end_if_unusable(CONFIG, as_jobs=workflow.non_local_exec)
    SESSION.begin(attempts=last_attempt())
    write_resolved_config(CONFIG)
    for display in displays():
        display.watch(CONFIG)


def end_session(outcome: str) -> None:
    """Stop every server of the run."""
    SESSION.end(outcome)
    for display in displays():
        display.unwatch()


def displays() -> list:
    """Return what shows the run while it goes: our own logger, where `--logger snakeval` asks for it."""
    handlers = workflow.logger_manager.get_log_handlers()
    return [handler for handler in handlers if hasattr(handler, "unwatch")]


def show_success() -> None:
    """Print the scores, the comparisons and the exports."""
    # Not above: a plan and the jobs need none of it, and it is slow to import.
    from snakeval.workflow.closing import (
        show_comparisons,
        show_exports,
        show_leaderboard,
    )

    show_leaderboard(INPUTS)
    show_comparisons(INPUTS)
    show_exports(INPUTS)


def show_failure() -> None:
    """Print what there is, and where to read about what is missing."""
    from snakeval.workflow.closing import show_comparisons, show_exports, show_failures

    show_failures(INPUTS)
    show_comparisons(INPUTS)
    show_exports(INPUTS)
