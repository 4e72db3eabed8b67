"""The comparisons of a configuration: who is compared with whom, and whether all that they name is there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from snakeval.config.draft import Draft
from snakeval.config.reading.entry import Entry
from snakeval.config.reading.schema import fill
from snakeval.config.reading.schema_files import Schemas
from snakeval.config.reading.tree import Keys, Tree
from snakeval.config.reading.validate import Where, check
from snakeval.config.reading.wording import choices, show
from snakeval.config.reading.yamlfile import read_yaml, shown
from snakeval.errors import ConfigError, Problem


def draft_comparisons(draft: Draft, tree: Tree, schemas: Schemas) -> list[Entry]:
    """Return the entries of `compare` that their schema accepts, names derived; `make_draft` reports the others."""
    raw, schema = draft.top.data["compare"], schemas.read("compare")
    entries = []
    for index, item in enumerate(raw if isinstance(raw, list) else ()):
        if check(item, schema, tree.where):
            continue
        data = fill(item, schema)
        data["name"] = data["name"] or f"{data['deployment']}-vs-{data['baseline']}"
        entries.append(Entry(data, schema, _under(tree, ("compare", index))))
    return entries


def check_comparisons(comparisons: Sequence[Entry], draft: Draft, schemas: Schemas | None) -> list[Problem]:
    """Return what is wrong between the keys of comparisons, and with the files that they name.

    Args:
        comparisons: As `draft_comparisons` returns them.
        draft: The rest of the configuration.
        schemas: To check policy files by; None to look at no file of this machine.
    """
    problems = [*_names(comparisons)]
    if draft.deployments_complete:
        problems += _deployments(comparisons, draft)
    for entry in comparisons if schemas else ():
        problems += _earlier_run(entry)
    # A policy that several comparisons name is read, and found wrong, once.
    for policy, entry in {one.data["gate"]: one for one in comparisons if one.data["gate"]}.items():
        problems += policy_problems(Path(policy), entry.at("gate"), schemas) if schemas else ()
    return problems


def policy_problems(policy: Path, where: str, schemas: Schemas) -> list[Problem]:
    """Return what is wrong with a gate's policy file.

    Args:
        policy: The file.
        where: Who names it, for messages.
        schemas: With the one of policies.
    """
    if not policy.is_file():
        hint = "check the path; relative paths start at the working directory"
        return [Problem(where, "is not a file", show(str(policy)), "an existing policy file", hint)]
    try:
        content = read_yaml(policy)
    except ConfigError as error:
        return list(error.problems)
    return check(content, schemas.read("policy"), lambda keys: f"{shown(policy)}: {'.'.join(map(str, keys))}")


def _names(comparisons: Sequence[Entry]) -> Iterator[Problem]:
    seen: set[str] = set()
    for entry in comparisons:
        name = entry.data["name"]
        if name.lower() in seen:
            expected = "every comparison with its own name, upper and lower case alike"
            hint = "give each of them another `name`"
            yield Problem(entry.at("name"), "names a second comparison", show(name), expected, hint)
        seen.add(name.lower())


def _deployments(comparisons: Sequence[Entry], draft: Draft) -> Iterator[Problem]:
    known = [deployment.data["name"] for deployment in draft.deployments]
    for entry in comparisons:
        deployment, baseline = entry.data["deployment"], entry.data["baseline"]
        earlier = entry.data["baseline_results"] is not None
        for key, name in (("deployment", deployment), ("baseline", baseline)):
            if name not in known and not (key == "baseline" and earlier):
                hint = "names of deployments are their `name`, else derived from served_model_name"
                if key == "baseline":
                    hint = "set baseline_results when it belongs to an earlier run"
                yield Problem(entry.at(key), "is not a deployment of this run", show(name), choices(name, known), hint)
        if deployment == baseline and not earlier:
            hint = "name another deployment, or set baseline_results to compare with an earlier run"
            yield Problem(entry.at("baseline"), "is the candidate itself", show(baseline), "another deployment", hint)


def _earlier_run(entry: Entry) -> Iterator[Problem]:
    if entry.data["baseline_results"] is None:
        return
    folder = Path(entry.data["baseline_results"])
    if not folder.is_dir():
        hint = "check the path; relative paths start at the working directory"
        yield Problem(entry.at("baseline_results"), "is not a folder", show(str(folder)), "the folder of a run", hint)
    elif not any(folder.glob(f"{entry.data['baseline']}/*/result.json")):
        known = sorted({path.parents[1].name for path in folder.glob("*/*/result.json")})
        hint = "name a deployment of that run that has results"
        name = entry.data["baseline"]
        yield Problem(entry.at("baseline"), f"has no results in {folder}", show(name), choices(name, known), hint)


def _under(tree: Tree, base: Keys) -> Where:
    return lambda keys: tree.where((*base, *keys))
