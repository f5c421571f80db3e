"""Proposes the settings of a search batch by batch, and records them in the run folder.

    proposals/000000.json   the settings of the first batch, for each group
    proposals/earlier.json  settings and scores of an earlier search, with --search-from

A batch is proposed when all runs before it have ended, from their scores. The proposals are written
before the jobs that train them are planned, both under the lock of the plan: a kill in between
leaves proposals that the next process plans, and nothing is ever proposed twice.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.atomic import write_bytes
from research.engine.axes import check_requirements, make_runs
from research.errors import UserError
from research.folders import files_in
from research.plain_text import shortened
from research.recorded import RecordedEarlier, RecordedProposals, read_json
from research.runs.experiment import Experiment, Part
from research.runs.jobs import Job, Plan, cut
from research.runs.observer import Observer
from research.runs.ranking import Rank, rank
from research.runs.run_folder import RunFolder
from research.runs.samplers import Told, batch_seed, check_installed, propose
from research.runs.search import Search
from research.runs.space import Chosen, Setting, key_of, make_space, requirements_of

FOLDER = "proposals"
EARLIER = "earlier.json"
Proposals = list[list[dict[str, Any]]]  # of each group, settings


class SearchFrom(NamedTuple):
    """An earlier search whose scores a sampler is told.

    Attributes:
      asked: its run folder, as the user gave it.
      read: reads it: experiment, groups -> what the sampler of each group is told, and lines about
        what of it is not used.
    """

    asked: str
    read: Callable[[Experiment, Sequence[Part]], tuple[list[list[Told]], list[str]]]


class FirstBatch(NamedTuple):
    """What a run folder of a search in batches begins with.

    Attributes:
      search: what is asked of it.
      proposals: the settings of each group.
      asked, earlier: the earlier search, as the user gave it, and what is told of it to each group.
    """

    search: Search
    proposals: Proposals
    asked: str
    earlier: list[list[Told]]


class Batches:
    """The batches of a search in a run folder, for one of the processes that train it.

    Without a search in batches, there is nothing to propose, and the groups stay as they are.
    """

    def __init__(self, experiment: Experiment, parts: Sequence[Part], folder: RunFolder):
        """Reads what was proposed so far.

        Raises:
          UserError: if a file of proposals is damaged, the jobs are of other settings, or a package
            that the sampler still needs is not installed.
        """
        search = experiment.search
        self.search = search if search and search.in_batches else None
        self.experiment, self.folder = experiment, folder
        self._parts, self._proposed = list(parts), [[] for _ in parts]
        self._read = 0
        if self.search:
            self._refresh()
            self._check_plan()
            if self._read < self.search.batches:
                check_installed(self.search.sampler)

    @property
    def parts(self) -> list[Part]:
        """The groups, with the settings that were proposed by now, by whichever process."""
        if self.search and self._read < len(_files(self.folder.path)):
            self._refresh()
        return self._parts

    def begin_next(self, observer: Observer) -> bool:
        """Plans the jobs of the next batch, if all before have ended and there is another.

        Returns:
          Whether there are jobs to do.
        """
        if self.search is None:
            return False
        plan = self.folder.change_plan(self._with_next)
        if {job.name for job in plan.jobs} <= self.folder.ended_jobs():
            return False
        observer.say(f"{self.experiment.name}: {self._in_words(self._begun(plan) - 1)}")
        return True

    def _in_words(self, batch: int) -> str:
        assert self.search
        settings = len(self.search.places(batch)) * len(self._parts)
        told = self.search.places(batch).start * len(self._parts)
        return (
            f"batch {batch + 1} of {self.search.batches}: {self.search.sampler} proposes "
            f"{settings:,} settings, told the scores of {told:,}"
        )

    def _with_next(self, plan: Plan) -> Plan:
        """The plan with the jobs of the next batch, after its proposals were recorded."""
        assert self.search
        results = self.folder.results()
        batch = self._begun(plan)
        if batch == self.search.batches or any(job.name not in results for job in plan.jobs):
            return plan
        if batch == len(_files(self.folder.path)):
            earlier = _read_earlier(self.folder.path, self.experiment, self.parts)
            told = self._told(plan, results)
            both = [[*old, *new] for old, new in zip(earlier, told, strict=True)]
            proposals = propose_batch(self.experiment, self.parts, both, batch)
            self.folder.check_in_place()
            save_proposals(self.folder.path, batch, proposals)
        return plan._replace(jobs=(*plan.jobs, *self._jobs(plan, batch)))

    def _told(self, plan: Plan, results: Mapping[str, Mapping[str, Any]]) -> list[list[Told]]:
        """The settings of each group that were trained, with their losses."""
        scores, diverged = _scores(plan, results)
        found = []
        for part, settings in zip(self.parts, self._proposed, strict=True):
            seeds, higher = len(self.experiment.seeds), part.problem.task.higher_is_better
            told = []
            for place, setting in enumerate(settings):
                runs = range(part.first_run + place * seeds, part.first_run + (place + 1) * seeds)
                finite = [scores.get(run) for run in runs if run not in diverged]
                loss = loss_of(rank(finite, len(runs) - len(finite), higher))
                told.append(Told(setting, loss, place // self._per_batch))
            found.append(told)
        return found

    @property
    def _per_batch(self) -> int:
        assert self.search
        return self.search.per_batch

    def _jobs(self, plan: Plan, batch: int) -> list[Job]:
        """The jobs of a batch, as wide as those of the batches before."""
        assert self.search
        jobs = []
        for part in self._parts:
            before = [job for job in plan.jobs if job.group == part.number and not job.sources]
            runs = tuple(batch_runs(self.search, part, len(self.experiment.seeds), batch))
            job = Job(part.number, runs, before[0].start, part.steps, len(runs))
            jobs += cut(job, -(-len(runs) // max(len(one.runs) for one in before)))
        return jobs

    def _begun(self, plan: Plan) -> int:
        """How many batches have jobs."""
        assert self.search
        begun = sum(len(job.runs) for job in plan.jobs if job.group == 0 and not job.sources)
        return -(-begun // len(self.experiment.seeds) // self.search.per_batch)

    def _check_plan(self) -> None:
        """Raises a `UserError` if jobs begin other runs than those of whole batches that were
        proposed."""
        assert self.search
        plan, seeds = self.folder.plan(), len(self.experiment.seeds)
        begun = sorted(run for job in plan.jobs if not job.sources for run in job.runs)
        batches = self._begun(plan)
        expected = sorted(
            run
            for part in self._parts
            for batch in range(batches)
            for run in batch_runs(self.search, part, seeds, batch)
        )
        if begun != expected or not self._read - 1 <= batches <= self._read:
            raise UserError(
                f"{self.folder.path}/plan.json is damaged: its jobs begin others than the runs of "
                f"the {self._read} batches in {FOLDER}"
            )

    def _refresh(self) -> None:
        """Reads the proposals that were recorded since the last look."""
        paths = _files(self.folder.path)
        for batch in range(self._read, len(paths)):
            more = _read_proposals(paths[batch], batch, self.experiment, self._parts)
            for settings, new in zip(self._proposed, more, strict=True):
                settings += new
            self._read = batch + 1
        self._parts = [
            with_settings(self.experiment, part, settings)
            for part, settings in zip(self._parts, self._proposed, strict=True)
        ]
        for part in self._parts:
            check_requirements(part.problem.task, part.group.runs, part.name)


def batch_runs(search: Search, part: Part, seeds: int, batch: int) -> range:
    """Returns the numbers of the runs of one group that are of one batch."""
    places = search.places(batch)
    return range(part.first_run + places.start * seeds, part.first_run + places.stop * seeds)


def propose_batch(
    experiment: Experiment, parts: Sequence[Part], told: Sequence[Sequence[Told]], batch: int
) -> Proposals:
    """Returns the settings of a batch, for each group.

    Args:
      experiment: with a search in batches.
      parts: the groups.
      told: the history of each.
      batch: the number of the batch.

    Raises:
      UserError: if no more settings are found that are new and allowed.
    """
    search = experiment.search
    assert search
    seed, count = batch_seed(search.seed, batch), len(search.places(batch))
    space = make_space(experiment.hparams, experiment.hparams_axes)
    proposals = []
    for part, history in zip(parts, told, strict=True):
        allowed = requirements_of(part.problem.task, experiment.hparams, experiment.hparams_axes)
        found = propose(search.sampler, space, history, count, seed, allowed)
        if len(found) < count:
            raise UserError(
                f"--search {search.settings}: no more than {len(found)} settings are left that "
                "are new and that the task takes; search fewer"
            )
        proposals.append(found)
    return proposals


def propose_first(
    experiment: Experiment, parts: Sequence[Part], observer: Observer
) -> FirstBatch | None:
    """Returns the first batch of a search; None if it is none in batches.

    Raises:
      UserError: if a package that the sampler needs is not installed, or the earlier search cannot
        be read or is of something else.
    """
    search, given = experiment.search, experiment.search_from
    if search is None or not search.in_batches:
        if given:
            raise UserError(
                f"--search-from {given.asked}: it goes with --search and a sampler that looks at "
                "scores: --sampler tpe, gp or cmaes"
            )
        return None
    check_installed(search.sampler)
    earlier: list[list[Told]] = [[] for _ in parts]
    if given:
        earlier, notes = given.read(experiment, parts)
        for note in notes:
            observer.say(f"{experiment.name}: {note}")
    elif search.batches == 1:
        observer.say(
            f"{experiment.name}: --sampler {search.sampler} is told no scores, since all settings "
            "are one batch; give a smaller --batch"
        )
    proposals = propose_batch(experiment, parts, earlier, 0)
    return FirstBatch(search, proposals, given.asked if given else "", earlier)


def save_first(folder: Path, first: FirstBatch) -> None:
    """Writes the first batch into a run folder that is being made, and what it was told."""
    save_proposals(folder, 0, first.proposals)
    if first.asked:
        groups = [[{"values": one.values, "loss": one.loss} for one in told]
                  for told in first.earlier]  # fmt: skip
        _write(folder / FOLDER / EARLIER, {"from": first.asked, "groups": groups})


def with_settings(experiment: Experiment, part: Part, settings: Sequence[dict[str, Any]]) -> Part:
    """Returns a group with other settings for its first runs."""
    count = len(part.group.runs) // len(experiment.seeds)
    hparams, axes = experiment.hparams, experiment.hparams_axes
    columns = vars(part.group.runs.hparams)
    kept = [
        {name: columns[name][place * len(experiment.seeds)].item() for name in axes}
        for place in range(len(settings), count)
    ]
    runs = make_runs(hparams, axes, experiment.seeds, Chosen([*settings, *kept]))
    return part._replace(group=part.group._replace(runs=runs))


def loss_of(place: Rank) -> float | None:
    """Returns what a sampler is told of a setting: its interquartile mean, negated where higher is
    better; None if it diverged or is undefined."""
    return None if place.diverged or place.undefined else place.mean


def save_proposals(folder: Path, batch: int, proposals: Proposals) -> None:
    """Writes the proposals of a batch into a run folder, which may be in the making."""
    (folder / FOLDER).mkdir(exist_ok=True)
    content = {"batch": batch, "groups": proposals}
    _write(folder / FOLDER / f"{batch:06}.json", content)


def _read_earlier(folder: Path, experiment: Experiment, parts: Sequence[Part]) -> list[list[Told]]:
    """What each group of a run folder is told of an earlier search.

    Raises:
      UserError: if it is damaged.
    """
    path = folder / FOLDER / EARLIER
    if experiment.search_from is None:
        return [[] for _ in parts]
    groups = read_json(path, RecordedEarlier)["groups"]
    if len(groups) != len(parts):
        raise UserError(f"{path} is damaged: groups: should be {len(parts)}, not {len(groups)}")
    for one in (one for group in groups for one in group):
        _check_setting(one["values"], experiment, path)
    return [[Told(one["values"], one["loss"], -1) for one in group] for group in groups]


def _scores(
    plan: Plan, results: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[int, float | None], set[int]]:
    """The last score of each run, and the runs that diverged."""
    scores: dict[int, float | None] = {}
    for job in sorted(plan.jobs, key=lambda job: job.stop):
        of_job = results[job.name].get("scores") or [None] * len(job.runs)
        scores.update(zip(job.runs, of_job, strict=True))
    return scores, {one["run"] for job in plan.jobs for one in results[job.name]["diverged"]}


def _files(folder: Path) -> list[Path]:
    """The files of the batches that were proposed, in order."""
    paths = sorted(files_in(folder / FOLDER, "[0-9]*.json"), key=lambda path: path.stem.zfill(9))
    for batch, path in enumerate(paths):
        if path.stem != f"{batch:06}":
            raise UserError(f"{path.parent} is damaged: the proposals of batch {batch} are missing")
    return paths


def _read_proposals(
    path: Path, batch: int, experiment: Experiment, parts: Sequence[Part]
) -> Proposals:
    """Reads the proposals of a batch, and checks that they are of this search.

    Raises:
      UserError: if they are not.
    """
    search = experiment.search
    assert search
    content = read_json(path, RecordedProposals)
    expected = [len(search.places(batch))] * len(parts)
    if content["batch"] != batch or [len(group) for group in content["groups"]] != expected:
        raise UserError(f"{path} is damaged: it is of another batch or of other groups")
    for setting in (one for group in content["groups"] for one in group):
        _check_setting(setting, experiment, path)
    if any(len({key_of(one) for one in group}) < len(group) for group in content["groups"]):
        raise UserError(f"{path} is damaged: a setting is there twice")
    return content["groups"]


def _check_setting(setting: Setting, experiment: Experiment, path: Path) -> None:
    """Raises a `UserError` if a recorded setting is none of what is searched."""
    space = make_space(experiment.hparams, experiment.hparams_axes)
    if {*setting} != {one.name for one in space}:
        raise UserError(f"{path} is damaged: a setting is of other hyper-parameters")
    for one in space:
        if not one.holds(setting[one.name]):
            value = shortened(repr(setting[one.name]))
            raise UserError(f"{path} is damaged: {one.name} {value}: is not in what is searched")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")
