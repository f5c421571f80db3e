"""The problems (environments or data) that settings were trained on, and the goal of each."""

from collections.abc import Sequence

from research.errors import UserError
from research.report.read import RunFolderData
from research.report.settings import Setting, settings


def problems(runs: Sequence[RunFolderData]) -> list[str]:
    """What the settings were trained on, such as one of several environments: scores on different
    ones are not compared."""
    found = (problem_of(run, setting) for run in runs for setting in settings(run))
    return list(dict.fromkeys(found))


def problem_of(run: RunFolderData, setting: Setting) -> str:
    """The problem of a setting: all text that its workload recorded of the data, but checksums."""
    data, group = run.manifest.get("data") or [], _group_of(run, setting)
    known = data[group] if group is not None and group < len(data) else {}
    words = [text for name, text in known.items() if isinstance(text, str) and "sha" not in name]
    return " ".join(words)


def one_problem(runs: Sequence[RunFolderData], problem: str | None) -> str:
    """The problem of that name; if none is given, the only one there is.

    Raises:
      UserError: if there is no such problem, or none is named of several.
    """
    known = problems(runs)
    if problem is None and len(known) == 1:
        return known[0]
    if problem not in known:
        asked = "" if problem is None else f" {problem!r}"
        names = ", ".join(map(repr, known))
        raise UserError(f"--problem{asked}: settings are of {names}: name one of them")
    return problem


def goal_of(run: RunFolderData, setting: Setting, metric: str) -> float | None:
    """The value of the key metric that solves the problem of a setting; other metrics have none."""
    group = _group_of(run, setting)
    known = group is not None and metric == run.manifest["key_metric"]
    return run.manifest["groups"][group]["goal"] if known else None


def _group_of(run: RunFolderData, setting: Setting) -> int | None:
    """The place of the group of a setting."""
    for place, group in enumerate(run.manifest["groups"]):
        if all(group[name] == setting.values[name] for name in run.manifest["config_axes"]):
            return place
    return None
