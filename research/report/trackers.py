"""Trackers, which export the summaries of a sweep while it trains: TensorBoard, and W&B.

Neither package is needed to import this module.
"""

import importlib
import json
import logging
import os
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from research.atomic import write_bytes
from research.errors import UserError
from research.folders import readable_name
from research.plain_text import one_line
from research.recorded import Count, Recorded, checked, read_json
from research.report.follower import SeedSummary, TrackedSetting

MEMORY = "written.json"
EVENTS = "events.out.tfevents.sweep"  # TensorBoard reads files with "tfevents" in their name
SAFE_NAME = r"^\d{3,9}(-[A-Za-z0-9._-]{1,80})?$"  # of a folder


class Written(Recorded):
    """What was written of a setting, as a tracker remembers it."""

    step: Count


class WrittenEvents(Written):
    """What TensorBoard has of a setting: its folder, and how long its file is."""

    folder: Annotated[str, Field(pattern=SAFE_NAME)]
    bytes: Count


class WrittenRun(Written):
    """What W&B has of a setting: the number of its run."""

    id: Annotated[str, Field(pattern=r"^[0-9a-z_-]{1,64}$")]


class Tracker(ABC):
    """Writes summaries to a folder of its own, and remembers what earlier sessions wrote.

    Attributes:
      flag: its command-line flag; also its folder, and the extra that installs its package.
      package: the package that it imports.
      remembered: what it must remember of a setting.
    """

    flag: str
    package: str
    remembered: type[Written]

    def __init__(self, run_folder: Path):
        """Opens the folder `flag` of a run folder.

        Raises:
          UserError: if the memory of earlier sessions is damaged.
          OSError: if the folder cannot be made.
        """
        self.run_folder, self.folder = run_folder, run_folder / self.flag
        _make_folder(self.folder)
        self._memory = _read_memory(self.folder / MEMORY, self.remembered)

    def last_step(self, setting: int) -> int:
        """The last step that was written for a setting; 0 if none was."""
        return self._memory.get(str(setting), {}).get("step", 0)

    def write(self, setting: TrackedSetting, summary: SeedSummary) -> None:
        """Writes the steps of a summary, which must be later than `last_step`."""
        if len(summary.steps):
            _make_folder(self.folder)
            facts = self._write(setting, summary)
            self._memory[str(setting.number)] = facts | {"step": int(summary.steps[-1])}

    @abstractmethod
    def _write(self, setting: TrackedSetting, summary: SeedSummary) -> dict[str, Any]:
        """Writes the steps of a summary, and returns what a later session needs, in JSON types."""

    def save(self) -> None:
        """Records what was written, for a later session."""
        _make_folder(self.folder)
        write_bytes(self.folder / MEMORY, json.dumps(self._memory).encode())

    def close(self) -> None:  # noqa: B027
        """Closes what is open."""


class TensorBoard(Tracker):
    """Writes one file of events per setting, which every session appends to.

    The file is open during a write only, and truncated to the remembered length before it, which
    removes what a kill left half-written. `tensorboardX.SummaryWriter(purge_step=...)` would need
    an open file, a queue and two threads for each of hundreds of settings; opened for each write
    alone, it overwrites what it wrote in the same second, by which its files are named.
    """

    flag, package, remembered = "tensorboard", "tensorboardX", WrittenEvents

    def __init__(self, run_folder: Path):
        super().__init__(run_folder)
        self._memory = {
            number: facts
            for number, facts in self._memory.items()
            if _size(self.folder / facts["folder"] / EVENTS) >= facts["bytes"]
        }  # files that were lost are written again

    def _write(self, setting: TrackedSetting, summary: SeedSummary) -> dict[str, Any]:
        known = self._memory.get(str(setting.number))
        name, length = (known["folder"], known["bytes"]) if known else (safe_name(setting), 0)
        records = [_scalars(values, shown) for shown, values in _points(summary)]
        if not length:
            records = [_header(), *_hparams(setting), *records]
        _make_folder(self.folder / name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(self.folder / name / EVENTS, flags, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.truncate(length)
            file.seek(length)
            file.write(b"".join(records))
            return {"folder": name, "bytes": file.tell()}


class WandB(Tracker):
    """Writes one offline run per setting, which `wandb sync` uploads.

    A resumed sweep writes to runs with the same ids, whose parts `wandb sync` joins.
    """

    flag, package, remembered = "wandb", "wandb", WrittenRun

    def __init__(self, run_folder: Path):
        super().__init__(run_folder)
        self._runs: dict[int, Any] = {}
        logging.raiseExceptions = (
            False  # W&B logs beside its runs: a traceback a line if that fails
        )

    def _write(self, setting: TrackedSetting, summary: SeedSummary) -> dict[str, Any]:
        known = self._memory.get(str(setting.number), {})
        if setting.number not in self._runs:
            self._runs[setting.number] = self._begin(setting, known.get("id") or uuid.uuid4().hex)
        run = self._runs[setting.number]
        for shown, values in _points(summary):
            run.log(values, step=shown, commit=True)  # else the last step stays in memory
        return {"id": run.id}

    def _begin(self, setting: TrackedSetting, name: str) -> Any:
        wandb = import_package(WandB)
        settings = wandb.Settings(
            silent=True, quiet=True, console="off", symlink=False, save_code=False,
            disable_git=True, disable_code=True, disable_job_creation=True,
            x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True,
            x_save_requirements=False,
            x_transaction_log_flush_interval=1.0,  # seconds of metrics that a kill may lose
        )  # fmt: skip
        return wandb.init(
            mode="offline",
            dir=self.run_folder,
            project="seedbed",
            group=self.run_folder.name[:100],
            name=safe_name(setting),
            id=name,
            config=_shown(setting.config),
            reinit="create_new",
            settings=settings,
        )

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()
        if self._runs:  # its process may lose what a later run of the same id writes
            import_package(WandB).teardown()
        self._runs = {}


def chosen_trackers(tensorboard: bool, wandb: bool) -> list[type[Tracker]]:
    """The trackers that the flags ask for.

    Raises:
      UserError: if the package of one is missing.
    """
    asked = {TensorBoard: tensorboard, WandB: wandb}
    chosen: list[type[Tracker]] = [kind for kind, wanted in asked.items() if wanted]
    for kind in chosen:
        import_package(kind, chosen)
    return chosen


def import_package(kind: type[Tracker], chosen: Sequence[type[Tracker]] = ()) -> Any:
    """The package that a tracker needs.

    Raises:
      UserError: if it is missing; the error says how to install the packages of all `chosen`.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when it is imported
    try:
        return importlib.import_module(kind.package)
    except ImportError:
        extras = " ".join(one.flag for one in chosen or [kind])
        raise UserError(
            f"--{kind.flag}: the package {kind.package} is missing: set up with "
            f"SEEDBED_ALSO='{extras}' scripts/run ..., or install {kind.package} with pip"
        ) from None


def safe_name(setting: TrackedSetting) -> str:
    """A short, unique name of a setting that is safe as the name of a folder."""
    label = readable_name(setting.label).replace("_", "-")
    return f"{setting.number:03}-{label}".rstrip("-")


def _shown(config: dict[str, Any]) -> dict[str, Any]:
    """The values of a setting, with escapes in names and words for what is not visible."""
    return {
        one_line(name): one_line(value) if isinstance(value, str) else value
        for name, value in config.items()
    }


def _points(summary: SeedSummary) -> list[tuple[int, dict[str, float]]]:
    """(step, tag -> value) of every step, without undefined values."""
    tags, values_TxK = (
        list(map(one_line, summary.values)),
        np.stack(list(summary.values.values()), 1),
    )
    return [
        (int(shown), {tag: float(v) for tag, v in zip(tags, row, strict=True) if v == v})
        for shown, row in zip(summary.shown, values_TxK, strict=True)
    ]


def _scalars(values: dict[str, float], step: int) -> bytes:
    """One event with all values of a step, serialized."""
    proto = importlib.import_module("tensorboardX.proto.summary_pb2")
    scalars = [proto.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return _record(step=step, summary=proto.Summary(value=scalars))


def _header() -> bytes:
    return _record(file_version="brain.Event:2")


def _hparams(setting: TrackedSetting) -> list[bytes]:
    """The events that show a setting in TensorBoard's table of hyper-parameters."""
    plain = {
        name: value if isinstance(value, bool | int | float) else str(value)
        for name, value in _shown(setting.config).items()
    }
    make = importlib.import_module("tensorboardX.summary").hparams
    experiment, started, _ = make(plain, {f"{setting.key_metric}/iqm": 0.0})
    return [_record(summary=experiment), _record(summary=started)]


def _record(**fields: Any) -> bytes:
    """A serialized event in TFRecord framing: length, its checksum, data, its checksum."""
    proto = importlib.import_module("tensorboardX.proto.event_pb2")
    checksum = importlib.import_module("tensorboardX.record_writer").masked_crc32c
    data = proto.Event(wall_time=time.time(), **fields).SerializeToString()
    length = len(data).to_bytes(8, "little")
    sums = [checksum(part).to_bytes(4, "little") for part in (length, data)]
    return length + sums[0] + data + sums[1]


def _read_memory(path: Path, schema: type[Written]) -> dict[str, dict[str, Any]]:
    if not os.path.lexists(path):
        return {}
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise UserError(f"{path} is damaged: it holds no object")
        return {number: checked(one, schema, path) for number, one in content.items()}
    except UserError as error:
        raise UserError(f"{error}; remove {path.parent}") from None


def _make_folder(path: Path) -> None:
    """Makes a folder, unless it is there; a link to one is none."""
    path.mkdir(exist_ok=True)
    if path.is_symlink():
        raise UserError(f"{path} is a link, and nothing is written through one: remove it")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
