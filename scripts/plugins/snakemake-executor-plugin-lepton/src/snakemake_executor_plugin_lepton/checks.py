"""What can be known before anything is created: every finding at once, each with what there is instead."""

import difflib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .api import Lepton
from .model import LeptonError


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it has to be; see Snakeval's `Problem`, which has the same parts."""

    where: str
    what: str
    got: str
    expected: str
    hint: str

    def __str__(self) -> str:
        lines = (f"{self.where} {self.what}", f"  got:      {self.got}", f"  expected: {self.expected}")
        return "\n".join((*lines, f"  hint:     {self.hint}"))


@dataclass
class Needs:
    """What a run is going to name, each name with the place where it is configured.

    Attributes:
        node_groups: Names.
        shapes: (shape, name of the node group or None, "job" or "deployment").
        secrets: Names.
        volumes: (volume, name of the node group or None).
        pull_secrets: Names; the API does not list them, only how many there are.
        ends_at: When the run is expected to have ended (seconds since the epoch), None when nobody knows.
    """

    node_groups: list[tuple[str, str]] = field(default_factory=list)
    shapes: list[tuple[str, str, str | None, str]] = field(default_factory=list)
    secrets: list[tuple[str, str]] = field(default_factory=list)
    volumes: list[tuple[str, str, str | None]] = field(default_factory=list)
    pull_secrets: list[tuple[str, str]] = field(default_factory=list)
    ends_at: float | None = None


def find(needs: Needs) -> list[Finding]:
    """Return everything that is wrong, an empty list when all is well. Reads only; creates nothing."""
    try:
        lepton = Lepton()
        workspace = lepton.workspace()
    except LeptonError as error:
        hint = "docs/lepton.md: the token; `lep login`, or LEPTON_WORKSPACE_ID and LEPTON_WORKSPACE_TOKEN"
        return [Finding("Lepton", f"cannot be used ({error.failure})", str(error), "a workspace that answers", hint)]
    try:
        return [*_token(lepton, needs.ends_at), *_names(lepton, needs), *_pull_secrets(workspace, needs)]
    except LeptonError as error:
        return [Finding("Lepton", "does not answer as it must", str(error), "an answer", "try again later")]


def _token(lepton: Lepton, ends_at: float | None) -> Iterator[Finding]:
    expires = lepton.token_expires_at()
    if expires is None or expires > (ends_at or time.time()):
        return
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(expires))
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(ends_at or time.time()))
    hint = "make a new one on the dashboard, with a longer life, and `lep login` again"
    yield Finding("the Lepton token", "expires before the planned end", when, f"a token valid until {until}", hint)


def _names(lepton: Lepton, needs: Needs) -> Iterator[Finding]:
    groups = {group.name: group for group in lepton.node_groups()}
    yield from _absent("node group", needs.node_groups, groups, "`lep node list` shows them; give the name, not the id")
    secrets = lepton.secret_names() if needs.secrets else set()
    yield from _absent("secret", needs.secrets, secrets, "make it on the dashboard, so that its value is in no history")
    known: dict[tuple[str | None, str], set[str]] = {}
    for where, shape, group, purpose in dict.fromkeys(needs.shapes):
        # Where the group does not exist, which is told already, the shape is looked for in all of them.
        found = groups.get(group) if group else None
        key = (found.group_id if found else None, purpose)
        if key not in known:
            known[key] = lepton.shapes(*key)
        yield from _absent("resource shape", [(where, shape)], known[key], "`lep node resource-shape` shows them")
    for where, volume, group in dict.fromkeys(needs.volumes):
        if not volume.startswith("node-") or volume == "node-local":
            continue
        here = [groups[group]] if group in groups else list(groups.values())
        volumes = {name for one in here for name in one.volumes}
        yield from _absent("volume", [(where, volume)], volumes, "`lep node list` shows the volumes of a node group")


def _absent(kind: str, wanted: Iterable[tuple[str, str]], known: Iterable[str], hint: str) -> Iterator[Finding]:
    names = sorted(known)
    for where, name in dict.fromkeys(wanted):
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            more = f" (did you mean {close[0]}?)" if close else ""
            expected = (", ".join(names) or f"any {kind}, but there is none") + more
            yield Finding(where, f"names a {kind} that does not exist", name, expected, hint)


def _pull_secrets(workspace: dict[str, object], needs: Needs) -> Iterator[Finding]:
    workloads = workspace.get("workloads")
    count = workloads.get("num_image_pull_secrets") if isinstance(workloads, dict) else None
    if count == 0:
        for where, name in dict.fromkeys(needs.pull_secrets):
            expected = "registry credentials of this workspace, which has none"
            yield Finding(where, "names registry credentials", name, expected, "add them on the dashboard")
