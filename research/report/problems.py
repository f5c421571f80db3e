"""The problems (environments or data) that settings were trained on, and the goal of each."""

import posixpath
from collections.abc import Iterable, Sequence
from typing import Any

from research.errors import UserError
from research.report.ranking import final_scores, order
from research.report.read import RunFolderData, stopped_runs
from research.report.settings import Setting, settings
from research.runs.ranking import problem_name


def problems(runs: Sequence[RunFolderData]) -> list[str]:
    """What the settings were trained on, such as one of several environments: scores on different
    ones are not compared."""
    found = (problem_of(run, setting) for run in runs for setting in settings(run))
    return list(dict.fromkeys(found))


def problem_of(run: RunFolderData, setting: Setting) -> str:
    """The problem of a setting, by what its workload recorded of the data; see `problem_name`."""
    return problem_name(_facts_of(run, setting))


def algorithm_of(run: RunFolderData, setting: Setting) -> str | None:
    """The algorithm that trained a setting, where its workload has several."""
    return _facts_of(run, setting).get("algorithm")


def _facts_of(run: RunFolderData, setting: Setting) -> dict[str, Any]:
    data, group = run.manifest.get("data") or [], _group_of(run, setting)
    return data[group] if group is not None and group < len(data) else {}


def by_problem(run: RunFolderData) -> dict[str, list[Setting]]:
    """The settings of a run folder by the title of their problem, in the order given. One problem
    alone has no title: ""."""
    found: dict[str, list[Setting]] = {}
    for setting in settings(run):
        found.setdefault(problem_of(run, setting), []).append(setting)
    return dict(zip(problem_titles(list(found)), found.values(), strict=True))


def problem_titles(names: Sequence[str]) -> list[str]:
    """What tells problems apart: the words of each that not all of them have, without a folder that
    all are in; or all words, if that is not enough. One problem alone has no title: ""."""
    if len(names) == 1:
        return [""]
    words = [name.split() for name in names]
    shared = set.intersection(*map(set, words)) if words else set()
    titles = [" ".join(word for word in some if word not in shared) for some in words]
    if folder := posixpath.dirname(posixpath.commonprefix(titles)):
        titles = [title.removeprefix(folder).lstrip("/") for title in titles]
    return titles if all(titles) and len(set(titles)) == len(titles) else [*names]


def one_problem(runs: Sequence[RunFolderData], problem: str | None) -> str:
    """The problem of that name or title; if none is given, the only one there is.

    Raises:
      UserError: if there is no such problem, or none is named of several.
    """
    known = problems(runs)
    if problem is None and len(known) == 1:
        return known[0]
    titles = dict(zip(problem_titles(known), known, strict=True))
    problem = titles.get(problem, problem) if problem else problem
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


def key_of(run: RunFolderData, setting: Setting) -> tuple[float, ...]:
    """The sort key of a setting by the key metric of its run folder; see `order`."""
    metric = run.manifest["key_metric"]
    scores, goal = final_scores(setting, metric), goal_of(run, setting, metric)
    return order(setting, scores, run.manifest["higher_is_better"], goal)


def ranked_settings(run: RunFolderData, some: Iterable[Setting]) -> list[Setting]:
    """Those of some settings that have a finite run which was evaluated, the best by the key metric
    first; settings that a halving stopped are left out."""
    stopped, metric = stopped_runs(run.manifest), run.manifest["key_metric"]
    found = [
        setting
        for setting in some
        if len(final_scores(setting, metric)) and not set(setting.rows["run"]) & stopped
    ]
    return sorted(found, key=lambda setting: key_of(run, setting))
