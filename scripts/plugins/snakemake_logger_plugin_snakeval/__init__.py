"""Snakemake's command line for users of Snakeval; Snakemake finds this package because its name says logger plugin.

* `--config deployment.port=9000`: dotted keys, which Snakemake 9 refuses although its values may be nested. A plugin is
  the one place that Snakemake imports before it reads `--config`.
* `--configfile` that does not exist: Snakeval's four lines instead of Snakemake's traceback.
* `--logger snakeval`: servers and tasks as they go, instead of Snakemake's blocks (`handler.py`).
"""

import re
import sys
from pathlib import Path
from typing import Any

import snakemake.cli
from snakemake.settings import types

from snakemake_logger_plugin_snakeval.handler import LogHandler

__all__ = ["LogHandler", "load_configfile", "parse_config"]

DOTTED = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+)+")


def parse_config(entries: list[str] | None) -> dict[str, Any]:
    """Parse the entries of --config as Snakemake does, dotted keys included; those stay flat: {"a.b": value}."""
    dotted, plain = {}, []
    for entry in entries or []:
        key, separator, value = entry.partition("=")
        if separator and DOTTED.fullmatch(key):
            dotted[key] = _parse_plain([f"value={value}"])["value"]
        else:
            plain.append(entry)
    return dict(_parse_plain(plain)) | dotted


def load_configfile(path: Any) -> Any:
    """Read a configuration file as Snakemake does; ends with status 1 and a readable message when it is not there."""
    if not Path(path).is_file():
        print(
            f"error: {path} does not exist\n"
            f"  got:      --configfile {path}, in {Path.cwd()}\n"
            "  expected: a YAML or JSON file\n"
            "  hint:     relative paths begin at the directory in which snakemake runs",
            file=sys.stderr,
        )
        sys.exit(1)
    return _load_plain(path)


# Whoever imports this module again finds Snakemake's own function behind the one that is in its place already.
_parse_plain = getattr(snakemake.cli.parse_config, "snakeval_plain", snakemake.cli.parse_config)
parse_config.snakeval_plain = _parse_plain  # type: ignore[attr-defined]
snakemake.cli.parse_config = parse_config
_load_plain = getattr(types.load_configfile, "snakeval_plain", types.load_configfile)
load_configfile.snakeval_plain = _load_plain  # type: ignore[attr-defined]
types.load_configfile = load_configfile
