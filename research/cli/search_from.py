"""Reads `--search-from RUN`: what a sampler is told of the settings of another run folder."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from research.errors import UserError, shortlist
from research.flags import check_path
from research.limits import as_stored, flag_of
from research.plain_text import count_of, one_line
from research.runs.experiment import Experiment, Part, cell
from research.runs.proposals import SearchFrom, loss_of
from research.runs.ranking import problem_name, rank
from research.runs.samplers import Told
from research.runs.space import Dimension, Space, make_space

if TYPE_CHECKING:  # what reads reports takes a while to import
    from research.report.read import RunFolderData
    from research.report.settings import Setting

FLAG = "--search-from"
Notes = dict[str, None]  # lines, each once


def read_search_from(asked: str | None) -> SearchFrom | None:
    """Returns the earlier search whose scores a sampler is told. Nothing is read yet."""
    check_path(FLAG, asked)
    return None if asked is None else SearchFrom(asked, partial(_history, asked))


def _history(
    asked: str, experiment: Experiment, parts: Sequence[Part]
) -> tuple[list[list[Told]], list[str]]:
    """What the sampler of each group is told, and what of the other folder is not used.

    Raises:
      UserError: if it is of something else, or says nothing about what is searched.
    """
    from research.report.read import read_run_folder
    from research.report.settings import settings

    name = f"{FLAG} {one_line(asked)}"
    try:
        data = read_run_folder(asked)
        earlier = list(settings(data))
    except UserError as error:
        raise UserError(f"{FLAG}: {error}") from None
    _check_key_metric(name, data.manifest, parts[0])
    both = [one for one in experiment.hparams_axes if one in data.manifest["hparams_axes"]]
    if not both:
        searched = shortlist(map(flag_of, data.manifest["hparams_axes"])) or "nothing"
        raise UserError(f"{name}: it searched {searched}, and none of that is searched here")
    notes = _notes_on_axes(name, data.manifest, experiment)
    space = make_space(experiment.hparams, experiment.hparams_axes)
    told = [_of_group(name, data, earlier, part, space, notes) for part in parts]
    notes[f"{name}: the sampler is told {count_of(sum(map(len, told)), 'score')} of it"] = None
    return told, list(notes)


def _check_key_metric(name: str, manifest: Mapping[str, Any], part: Part) -> None:
    task = part.problem.task
    there = manifest["key_metric"], manifest["higher_is_better"]
    if there != (task.key_metric, task.higher_is_better):
        raise UserError(
            f"{name}: its settings are judged by {one_line(there[0])}, and here by "
            f"{task.key_metric}; give a folder of the same key metric"
        )


def _notes_on_axes(name: str, manifest: Mapping[str, Any], experiment: Experiment) -> Notes:
    """Lines about what only one of two searches has."""
    there, here = manifest["hparams_axes"], experiment.hparams_axes
    notes: Notes = {}
    if ignored := [one_line(one) for one in there if one not in here]:
        notes[f"{name}: {shortlist(ignored)} is not searched here and is ignored"] = None
    if missing := [one for one in here if one not in there]:
        notes[f"{name}: {shortlist(missing)} had one value there, which is told"] = None
    return notes


def _of_group(
    name: str,
    data: "RunFolderData",
    earlier: Sequence["Setting"],
    part: Part,
    space: Space,
    notes: Notes,
) -> list[Told]:
    """What the sampler of one group is told: the settings of the same problem, and of the same
    config as far as both sweep it, which were trained to the end and are in what is searched."""
    from research.report.problems import algorithm_of, problem_of
    from research.report.settings import final_values

    problem = problem_name(part.problem.facts)
    same = [one for one in earlier if problem_of(data, one) == problem]
    if not same:
        raise UserError(f"{name}: it is of another problem than {problem or part.name or 'here'}")
    algorithm = part.problem.facts.get("algorithm")
    if others := {algorithm_of(data, one) for one in same} - {algorithm}:
        raise UserError(
            f"{name}: its settings were trained by {one_line(str(others.pop()))}, not by "
            f"{algorithm}; what is good for one need not be for the other"
        )
    metric, higher = data.manifest["key_metric"], part.problem.task.higher_is_better
    last = max(one.last_step for one in same)
    told, left_out = [], 0
    for one in same:
        if any(name in part.labels and cell(value) != part.labels[name]
               for name, value in one.values.items()):  # fmt: skip
            continue
        values = _values(one.values, data.manifest["hparams"], space)
        if values is None or not (one.all_diverged or one.last_step == last):
            left_out += 1
            continue
        scores = final_values(one, metric).tolist()
        missing = [None] * (one.seeds - one.left_out - len(scores))
        told.append(Told(values, loss_of(rank([*scores, *missing], one.left_out, higher)), -1))
    if not told:
        raise UserError(f"{name}: none of its settings that ended is in what is searched here")
    if left_out:
        notes[f"{name}: {count_of(left_out, 'setting')} of it not in what is searched, or not "
              "trained to the end: left out"] = None  # fmt: skip
    return told


def _values(
    there: Mapping[str, Any], fixed: Mapping[str, Any], space: Space
) -> dict[str, Any] | None:
    """The values of a setting for what is searched; None if one of them is not in it."""
    values = {}
    for dimension in space:
        value = there.get(dimension.name, fixed.get(dimension.name))
        found = None if value is None else _value_in(dimension, value)
        if found is None:
            return None
        values[dimension.name] = found
    return values


def _value_in(dimension: Dimension, value: Any) -> Any:
    """A value that was read from metrics, in float32, as a dimension has it; None if it has not."""
    if dimension.choices:
        return next((one for one in dimension.choices if as_stored(one) == as_stored(value)), None)
    if isinstance(value, bool | str):
        return None
    near = dimension.fitted(float(value))
    return near if abs(near - value) <= 1e-3 * abs(value) else None
