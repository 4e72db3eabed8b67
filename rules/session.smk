"""Begins and ends the session of a run, and prints at its end what there is. No rules."""


def begin_session() -> None:
    """Own the run, or end at once when another Snakemake works on it, or its backend or a harness cannot be used."""
    from snakeval.backends import backend_problems
    from snakeval.harnesses.availability import harness_problems
    from snakeval.workflow.session import write_resolved_config

    problems = [
        *backend_problems(CONFIG),
        *harness_problems(CONFIG, as_jobs=workflow.non_local_exec),
    ]
    if problems:
        print("\n\n".join(map(str, problems)), file=sys.stderr)
        sys.exit(1)
    SESSION.begin()
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


def show_leaderboard() -> None:
    """Print the scores."""
    from snakeval.results.summary import leaderboard, summarize

    rows = summarize(CONFIG)
    print(
        f"\n{leaderboard(rows)}\n\n"
        f"run {CONFIG.run}: {RUN.root}/summary.csv, .json, .md; {RUN.report}\n",
        flush=True,
    )


def current_comparisons() -> list[str]:
    """Return the names of the comparisons that are of the results as they are now."""
    from snakeval.system.files import is_newer

    return [
        name
        for name, comparison in COMPARISONS.items()
        if is_newer(RUN.comparison(name, "json"), files_of_both(comparison))
    ]


def show_comparisons() -> None:
    """Print the comparisons of the results as they are now, with what their gates say."""
    from snakeval.results.compare.text import comparison_summary
    from snakeval.system.files import read_json

    for name in current_comparisons():
        content = read_json(RUN.comparison(name, "json"))
        page = RUN.comparison(name, "md")
        print(f"{comparison_summary(content, str(page))}\n", flush=True)


def show_exports() -> None:
    """Print where every export is, or where to read why it is not there."""
    from snakeval.results.exports.record import export_line

    lines = [export_line(RUN, name, all_results()) for name in EXPORTS]
    if lines:
        print("\n".join(["exports:", *lines, ""]), flush=True)


def show_failures() -> None:
    """Write and print what there is, and say where to read about what is missing."""
    from snakeval.results.summary import failure_report, summarize, write_summary

    rows = summarize(CONFIG)
    write_summary(CONFIG, rows)
    print(failure_report(CONFIG, rows), flush=True)
    write_report_of_failed_run()


def write_report_of_failed_run() -> None:
    """Write the report of what there is; whatever goes wrong with it hides nothing of the failure itself."""
    try:
        from snakeval.results.report.page import write_report

        names = current_comparisons()
        write_report(
            CONFIG, [RUN.comparison(name, "json") for name in names], RUN.report
        )
        print(f"\nreport: {RUN.report}\n", flush=True)
    except Exception as error:
        print(f"\nnotice: no report was written: {error}\n", file=sys.stderr)
