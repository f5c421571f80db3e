"""A run folder that grows as during a sweep, and readers of what trackers wrote."""

import json
import struct

import numpy as np
import pyarrow as pa

from research.runs.jobs import Plan
from research.runs.run_folder import RunFolder
from tests.run_folders import MANIFEST

NAN = float("nan")


class GrowingFolder:
    """A run folder of settings (`rates`) x seeds, to which metrics can be added. Each run has a
    made-up loss at every step, [R, T] from step 1 on, and a score at even steps. `bad_from` [R] is
    the step from which a run counts as diverged, whatever its loss."""

    def __init__(self, parent, rates=(0.1, 0.2), seeds=5, steps=8, **changes):
        manifest = MANIFEST | {
            "results": [],
            "seeds": list(range(seeds)),
            "config": {"hidden": [8, 4], "data": "digits", "none": None},
            "config_axes": {},
            "hparams_axes": {"rate": list(rates)},
            "groups": [{"first_run": 0, "runs": len(rates) * seeds}],
            "key_metric": "score",
            "in_work": False,
        }
        self.folder = RunFolder.create(parent, "run", manifest | changes, Plan(()))
        self.path, self.rates, self.seeds = self.folder.path, rates, seeds
        rng = np.random.default_rng(0)
        self.loss = rng.normal(size=(len(rates) * seeds, steps)).astype(np.float32)
        self.bad_from = np.full(len(rates) * seeds, steps + 1)
        self.files = {}

    def append(self, job, runs, steps, number=None, **columns):
        """Adds a metrics file to a job, or rewrites its file `number`."""
        number = self.files.get(job, 0) if number is None else number
        self.files[job] = number + 1
        run, step = (grid.ravel() for grid in np.meshgrid(runs, steps, indexing="xy"))
        loss = self.loss[run, step - 1]
        score = pa.array(loss * 2, pa.float32(), mask=step % 2 == 1)
        rates = [self.rates[one // self.seeds] for one in run]
        table = {"run": run, "seed": run % self.seeds, "rate": rates} | {
            name: [values[one // self.seeds] for one in run] for name, values in columns.items()
        }
        status = self.bad_from[run]
        table |= {"step": step, "diverged": pa.array(status - 1, mask=step < status)}
        table |= {"work": step * 100, "loss": loss, "score": score}
        self.folder.append_metrics(job, number, pa.table(table))


def read_events(path):
    """The events of a file; every length and checksum is checked."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    data, at, events = path.read_bytes(), 0, []
    while at < len(data):
        length, length_sum = struct.unpack_from("<QI", data, at)
        body = data[at + 12 : at + 12 + length]
        (body_sum,) = struct.unpack_from("<I", data, at + 12 + length)
        assert masked_crc32c(data[at : at + 8]) == length_sum
        assert masked_crc32c(body) == body_sum
        events.append(Event.FromString(body))
        at += 16 + length
    return events


def read_scalars(path):
    """The scalars of an event file: [(step, {tag: value})]."""
    return [
        (event.step, {value.tag: value.simple_value for value in event.summary.value})
        for event in read_events(path)
        if event.step
    ]


def read_wandb(path):
    """The records of a `.wandb` file: LevelDB's log format, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, part, records = path.read_bytes(), 7, b"", []
    while at < len(data):
        if (left := 32_768 - at % 32_768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            records.append(Record.FromString(part))
            part = b""
    return records


def wandb_history(records):
    """The history of a W&B run, without keys that W&B adds: [(step, {tag: value})]."""
    rows = [record.history for record in records if record.WhichOneof("record_type") == "history"]
    items = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in row.item}
        for row in rows
    ]
    return [
        (item["_step"], {tag: value for tag, value in item.items() if tag[0] != "_"})
        for item in items
    ]
