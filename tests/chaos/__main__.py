"""Run Snakeval, break something at a random moment, repeat the command, and check what Snakeval promises.

A trial is a seed: it chooses the fault, the kind of run, the moment and the victim. One fault and one kind with the
same seed are the same trial, as far as timing allows. Each trial is one JSON line in WORK/trials.jsonl; a trial that
broke a promise keeps its folder, WORK/<seed>. Needs Linux; the faults of file systems need root.
"""

import argparse
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chaos.campaign import Campaign, Record
from chaos.every_fault import BROKEN_TODAY, FAULTS, HOLDING, fault_of, kind_of
from chaos.trial import CALL_TIMEOUT_S
from chaos.trial_processes import check_roles


def main() -> int:
    """Perform the trials that the command line asks for; return 1 when one broke a promise."""
    given = _arguments()
    if given.list:
        print("\n".join(f"{name:26} {BROKEN_TODAY.get(name, '')}".rstrip() for name in FAULTS))
        return 0
    campaign = Campaign(given.work.resolve(), given.timeout, given.keep)
    if not given.table:
        bad = _perform(campaign, given)
    print(campaign.table())
    return 0 if given.table or not bad else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("chaos", None, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1:20", help="FIRST:LAST, or a list with commas")
    parser.add_argument("--faults", default=",".join(HOLDING), help="names with commas; all that hold by default")
    parser.add_argument("--kinds", default="quick,quick,quick,light,full", help="kinds of run to draw from")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time")
    parser.add_argument("--work", type=Path, default=Path("results/chaos"), help="folder of the trials")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no trial after that long")
    parser.add_argument("--timeout", type=float, default=CALL_TIMEOUT_S, help="seconds after which a call hangs")
    parser.add_argument("--keep", action="store_true", help="keep the folders of trials without violations too")
    parser.add_argument("--table", action="store_true", help="print what there is, and run nothing")
    parser.add_argument("--list", action="store_true", help="print the faults, and what those break that do not hold")
    return parser.parse_args()


def _perform(campaign: Campaign, given: argparse.Namespace) -> int:
    """Perform the trials; return how many broke a promise."""
    check_roles()
    campaign.work.mkdir(parents=True, exist_ok=True)
    names, kinds = given.faults.split(","), given.kinds.split(",")
    trials = {seed: (fault := fault_of(seed, names), kind_of(seed, fault, kinds)) for seed in _seeds(given.seeds)}
    for kind in dict.fromkeys(kind for _, kind in trials.values()):
        print(f"undisturbed {kind}: {campaign.baseline(kind).took_s} s", flush=True)
    until, printing = time.monotonic() + 60 * given.minutes, threading.Lock()

    def perform(seed: int) -> Record | None:
        if time.monotonic() > until:
            return None
        record = campaign.trial(seed, *trials[seed])
        with printing:
            print(record, flush=True)
        return record

    with ThreadPoolExecutor(given.jobs) as pool:
        return sum(bool(record and record.violations) for record in pool.map(perform, trials))


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition(":")
    return list(range(int(first), int(last) + 1)) if last else [int(one) for one in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
