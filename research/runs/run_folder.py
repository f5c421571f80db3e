"""The run folder: everything that is kept of a sweep, in formats that other tools can read.

    runs/NAME/manifest.json            what was run, on what, how long it took, what diverged
    runs/NAME/plan.json                the jobs: which runs train together, over which steps
    runs/NAME/metrics/JOB-*.parquet    one row a run and logged step; one data set
    runs/NAME/decisions/JOB-*.parquet  what a scheduler decided, if there is one; rung-N-*.parquet:
                                       which runs stopped after rung N of a halving
    runs/NAME/params/JOB.safetensors   final params of a job's runs, every tensor [runs, ...]
    runs/NAME/results/JOB.json         the result of a job; exists if and only if it has ended
    runs/NAME/checkpoints/JOB/STEP/    from which a job that has not ended resumes
    runs/NAME/FILE-G.json              what the workload of group G needs, such as a vocabulary

A file is complete or absent, so that a kill at any instant leaves nothing half-written; the folder
itself appears together with its manifest and plan. Several processes may share it: each job is
trained by the process that holds its lock.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from research.atomic import new_folder, write_bytes
from research.errors import FolderLost, UserError, cannot_write
from research.folders import FORMAT, check_is_no_link, check_is_run_folder, files_in, named
from research.plain_text import one_line, shortened
from research.recorded import (
    Recorded,
    RecordedPlan,
    RecordedResult,
    read_json,
    read_manifest,
)
from research.runs.jobs import Job, Plan
from research.runs.locks import Lock, is_marked, locked
from research.runs.tensors import save_tree

FOLDERS = ("metrics", "params", "results", "checkpoints")
MOST_BYTES = 200  # of the name of a run folder: file systems allow 143 to 255


class RunFolder:
    """The folder of one sweep, for the processes that train it."""

    def __init__(self, path: Path):
        self.path = path
        self._held: Lock | None = None

    @classmethod
    def create(
        cls,
        parent: str | os.PathLike[str],
        name: str,
        manifest: Mapping[str, Any],
        plan: Plan,
        files: Mapping[tuple[int, str], Any] = {},
        fill: Callable[[Path], None] = lambda path: None,
    ) -> "RunFolder":
        """Creates `parent/name`, which must not exist, with its manifest, plan and files.

        Args:
          parent: the folder to make it in; made if need be.
          name: of the folder.
          manifest: JSON types.
          plan: the jobs.
          files: (group, name) -> content that the workload keeps; JSON types.
          fill: writes what else it is to hold from the beginning.

        Raises:
          UserError: if it exists, or cannot be created.
        """
        path = run_path(parent, name)
        if path.exists():
            raise UserError(f"{path} is there already and is not overwritten: give another --name")
        try:
            with new_folder(path) as staging:
                for folder in (*FOLDERS, ".locks"):
                    (staging / folder).mkdir()
                with locked(staging / ".locks" / "folder"):  # where that cannot be, none is made
                    _write_json(staging / "manifest.json", {"format": FORMAT, **manifest})
                    _write_json(staging / "plan.json", plan.to_json())
                    for (group, file), content in files.items():
                        write_bytes(staging / f"{file}-{group}.json", _compact_json(content))
                    fill(staging)
        except OSError as error:
            raise cannot_write(path, error, "--out") from error
        return cls(path)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """Opens an existing run folder.

        Raises:
          UserError: if it is no run folder, is damaged, was written by another version, or holds
            what leads out of it.
        """
        folder = cls(named(Path(path)))
        read_manifest(folder.path)
        folder.plan()
        return folder

    def manifest(self) -> dict[str, Any]:
        """Returns the content of manifest.json.

        Raises:
          UserError: if it is missing or damaged.
        """
        check_is_run_folder(self.path)
        return read_json(self.path / "manifest.json")

    def plan(self) -> Plan:
        """Reads the jobs from plan.json.

        Raises:
          UserError: if the file is missing or damaged.
        """
        path = self.path / "plan.json"
        try:
            return Plan.from_json(read_json(path, RecordedPlan))
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}") from None

    def lock(self, name: str, **how: bool) -> contextlib.AbstractContextManager[Lock]:
        """The lock of a job, or of the folder; see `locked`."""
        self.check_in_place()
        return locked(self.path / ".locks" / name, **how)

    @contextlib.contextmanager
    def held(self, *, shared: bool) -> Iterator[None]:
        """Holds the folder's lock while open, alone or shared with other workers. Meanwhile,
        whatever would write to the folder raises a `FolderLost` if it is no longer in its place.

        Raises:
          Taken: if another process holds the lock.
        """
        with self.lock("folder", shared=shared) as self._held:
            try:
                self._make_folders()
                yield
            finally:
                self._held = None

    def _make_folders(self) -> None:
        """Makes the folders in it that are missing, as empty ones are in a copy file by file."""
        for path in (self.path / name for name in FOLDERS):
            try:
                path.mkdir(exist_ok=True)
            except FileExistsError:
                raise UserError(f"{path} is no folder: move it away") from None

    def check_in_place(self) -> None:
        """Raises a `FolderLost` if the folder is held and no longer in its place, or if a folder in
        it has become a link: it was none when the folder was opened."""
        if not self._held:
            return
        if not self._held.is_at(self.path / ".locks" / "folder"):
            raise FolderLost(
                f"{self.path} was removed, renamed or replaced while it was trained: training has "
                "ended, since nothing can be saved there; what was saved before is where the "
                "folder is now, and --resume resumes it there"
            )
        for name in (*FOLDERS, "best"):
            check_is_no_link(self.path / name)

    @contextlib.contextmanager
    def planning(self) -> Iterator[None]:
        """While open, no other process changes the plan or the manifest."""
        with self.lock("plan", wait=True):
            yield

    def change_plan(self, change: Callable[[Plan], Plan]) -> Plan:
        """Rewrites the plan."""
        with self.planning():
            plan = change(self.plan())
            _write_json(self.path / "plan.json", plan.to_json())
        return plan

    def remove_if_untrained(self) -> None:
        """Removes the folder if nothing has been saved of any run."""
        self.check_in_place()
        places = [self.path / name for name in FOLDERS if name != "checkpoints"]
        places += files_in(self.path / "checkpoints")  # a folder for each job
        if not any(files_in(place) for place in places):
            shutil.rmtree(self.path)

    def record(self, **facts: Any) -> None:
        """Adds facts to the manifest."""
        with self.planning():
            self._add_to_manifest(facts)

    def append_session(self, session: Mapping[str, Any]) -> None:
        """Records in the manifest that a process resumes the sweep."""
        with self.planning():
            sessions = [*self.manifest().get("sessions", []), dict(session)]
            self._add_to_manifest({"sessions": sessions})

    def results(self) -> dict[str, dict[str, Any]]:
        """Returns the result of every job that has ended, by its name."""
        paths = files_in(self.path / "results", "*.json")
        results = {path.stem: read_json(path, RecordedResult) for path in paths}
        jobs = {job.name: job for job in self.plan().jobs}
        for name, result in results.items():
            if reason := _is_not_of(jobs.get(name), name, result):
                path = self.path / "results" / f"{name}.json"
                raise UserError(f"{path} is damaged: {reason}")
        return results

    def ended_jobs(self, *, fresh: bool = False) -> set[str]:
        """The names of the jobs that have ended.

        Args:
          fresh: as of now: a network's file system may list a folder as it was some seconds ago,
            unless this machine has just changed it.
        """
        if fresh:
            self.check_in_place()
            marker = self.path / "results" / ".listing"
            marker.touch()
            marker.unlink(missing_ok=True)
        return {path.stem for path in files_in(self.path / "results", "*.json")}

    def has_open_job(self) -> bool:
        """Whether a job has not ended, as of now."""
        names = {job.name for job in self.plan().jobs}
        unlisted = names - self.ended_jobs()
        if not all(is_marked(self.path / ".locks" / name) for name in unlisted):
            return True
        return not names <= self.ended_jobs(fresh=True)

    def merge_results(self, **facts: Any) -> None:
        """Brings the manifest up to date with the jobs that have ended, and adds facts."""
        with self.planning():
            plan, results = self.plan(), self.results()
            merged = [results[job.name] for job in plan.jobs if job.name in results]
            known = {"results": merged, "rungs": plan.rungs, "splits": plan.splits}
            self._add_to_manifest(known | facts)

    def _add_to_manifest(self, facts: Mapping[str, Any]) -> None:
        """Adds facts to the manifest; call it while `planning` is open."""
        _write_json(self.path / "manifest.json", self.manifest() | dict(facts))

    def save_result(self, job: Job, result: Mapping[str, Any]) -> None:
        """Saves the result of a job, after which the job is not run again."""
        self.check_in_place()
        _write_json(self.path / "results" / f"{job.name}.json", result)

    def checkpoints(self, job: str) -> Path:
        """Returns the folder of the checkpoints of a job."""
        return self.path / "checkpoints" / job

    def append_metrics(self, job: str, number: int, table: pa.Table) -> None:
        """Writes rows of metrics as file `number` of a job."""
        self.check_in_place()
        write_bytes(self.metrics_file(job, number), _as_parquet(table))

    def metrics_sizes(self, job: str, files: int) -> list[int | None]:
        """Returns the bytes of each of the first `files` files of metrics of a job; None where one
        is missing."""
        paths = [self.metrics_file(job, number) for number in range(files)]
        return [path.stat().st_size if path.is_file() else None for path in paths]

    def metrics_file(self, job: str, number: int) -> Path:
        """Returns the path of file `number` of the metrics of a job."""
        return self.path / "metrics" / f"{job}-{number:06}.parquet"

    def cut_metrics(self, job: str, files: int) -> None:
        """Removes the metrics of a job after its first `files` files; it will write them again."""
        self.check_in_place()
        numbered = f"{job}-[0-9][0-9][0-9][0-9][0-9][0-9].parquet"
        for path in files_in(self.path / "metrics", numbered):
            if int(path.stem.rpartition("-")[2]) >= files:
                path.unlink()

    def decisions_file(self, job: str, step: int) -> Path:
        """Returns the path of what was decided about the runs of a job at a step."""
        return self.path / "decisions" / f"{job}-{step:010}.parquet"

    def save_decisions(self, job: str, step: int, table: pa.Table) -> None:
        """Writes what was decided about the runs of a job at a step."""
        self.check_in_place()
        (self.path / "decisions").mkdir(exist_ok=True)
        write_bytes(self.decisions_file(job, step), _as_parquet(table))

    def decisions_sizes(self, job: str) -> dict[str, int]:
        """Returns the bytes of each file of decisions of a job, by its step."""
        return {str(step): path.stat().st_size for step, path in self._decisions(job)}

    def cut_decisions(self, job: str, step: int) -> None:
        """Removes the decisions about a job from a step on; it will decide again."""
        self.check_in_place()
        for decided, path in self._decisions(job):
            if decided >= step:
                path.unlink()

    def _decisions(self, job: str) -> list[tuple[int, Path]]:
        found = files_in(self.path / "decisions", f"{job}-{'[0-9]' * 10}.parquet")
        return [(int(path.stem.rpartition("-")[2]), path) for path in found]

    def save_params(self, job: Job, params: Any, steps: Sequence[int] | None = None) -> None:
        """Writes the final params of a job, every leaf [runs, ...], and the step of each run where
        some have stopped early."""
        self.check_in_place()
        facts = {"group": job.group, "runs": list(job.runs), "step": job.stop}
        facts |= {} if steps is None else {"steps": list(steps)}
        save_tree(self.path / "params" / f"{job.name}.safetensors", params, facts)

    def save_best_params(self, job: Job, params: Any, steps: Sequence[int]) -> None:
        """Writes the params of the best evaluation of each run of a job, and the steps at which
        these were."""
        self.check_in_place()
        (self.path / "best").mkdir(exist_ok=True)
        facts = {"group": job.group, "runs": list(job.runs), "step": job.stop, "steps": list(steps)}
        save_tree(self.path / "best" / f"{job.name}.safetensors", params, facts)


def _as_parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _is_not_of(job: Job | None, name: str, result: Mapping[str, Any]) -> str:
    """Why a result is not that of the job it is named for; empty if it is."""
    if result.get("job") != name:
        return f"it is of job {result.get('job')}"
    if job is None or "runs" not in result:  # which older versions did not record
        return ""
    if result["runs"] != list(job.runs):
        return "it is of other runs than its job"
    scores = result.get("scores")
    return "it has scores of other runs" if scores and len(scores) != len(job.runs) else ""


def run_path(parent: str | os.PathLike[str], name: str) -> Path:
    """Returns `parent/name`, checked.

    Raises:
      UserError: if the name is none.
    """
    if Path(name).name != name or one_line(name) != name:
        raise UserError(f"--name {name!r}: give a plain name, and the folder with --out")
    if (length := len(os.fsencode(name))) > MOST_BYTES:
        raise UserError(f"--name {shortened(name)}: {length} bytes, and {MOST_BYTES} are the most")
    return Path(parent) / name


def load_file(
    folder: str | os.PathLike[str], group: int, name: str, schema: type[Recorded] | None = None
) -> Any:
    """Returns a file that the workload keeps for a group, of which `schema` says what it holds.

    Raises:
      UserError: if it is not there or damaged.
    """
    path = Path(folder) / f"{name}-{group}.json"
    if not path.is_file():
        raise UserError(f"no file {path}: is the folder one of another workload?")
    return read_json(path, schema)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def _compact_json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n"
