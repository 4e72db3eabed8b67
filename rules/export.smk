"""Brings the results into files of other tools and into trackers, as far as the configuration asks for it.

Needs every result and its samples. Makes `exports/<format>/` with the files of the format and `record.json`, which says
what was written or sent. One job per format, so that none waits for another or fails with it.
"""


localrules:
    export,


rule export:
    """Write the results in one format, or send them to one tracker."""
    input:
        results=INPUTS.all_results(),
        samples=INPUTS.all_samples(),
    output:
        record=RUN.export_record("{format}"),
    log:
        RUN.export_log("{format}"),
    resources:
        attempt=attempt_number,
    params:
        settings=INPUTS.export_settings,
    message:
        "Exporting {wildcards.format}, log: {log}"
    script:
        "../scripts/rules/export.py"
