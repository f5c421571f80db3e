"""What is kept of a sweep, in formats that other tools read without this package.

    runs/NAME/manifest.json            what was run, on what, how long it took, what diverged
    runs/NAME/metrics/part-*.parquet   one row a run and logged step; one data set
    runs/NAME/params-G.safetensors     final params of group G, every tensor [runs, ...]
    runs/NAME/FILE-G.json              what the workload keeps beside them, such as a vocabulary

A file appears whole or not at all, so that a kill at any instant leaves nothing half-written.
"""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from research.errors import UserError
from research.sweep.atomic import write_bytes
from research.sweep.tensors import load_nested, save_tree

FORMAT = 1


class RunFolder:
    """The folder of one sweep, for the process that runs it."""

    def __init__(self, path: Path):
        self.path = path
        self.manifest: dict[str, Any] = {"format": FORMAT}
        self._parts = 0

    @classmethod
    def create(cls, parent: str | os.PathLike[str], name: str) -> "RunFolder":
        """Makes `parent/name`, which must not be there yet.

        Raises:
          UserError: if it is, or cannot be made.
        """
        path = Path(parent) / name
        if Path(name).name != name:
            raise UserError(f"--name {name!r}: give a plain name, and the folder with --out")
        if path.exists():
            raise UserError(f"{path} is there already and is not overwritten: give another --name")
        try:
            Path(parent).mkdir(parents=True, exist_ok=True)
            path.mkdir()
            (path / "metrics").mkdir()
        except OSError as error:
            raise UserError(
                f"cannot write to {path}: {error.strerror}; give another folder with --out"
            ) from error
        return cls(path)

    def record(self, **facts: Any) -> None:
        """Adds facts to the manifest and writes it."""
        self.manifest.update(facts)
        text = json.dumps(self.manifest, indent=1, allow_nan=False)
        write_bytes(self.path / "manifest.json", text.encode() + b"\n")

    def save_file(self, group: int, name: str, content: Any) -> None:
        """Writes what the workload of a group keeps; JSON types."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        write_bytes(self.path / f"{name}-{group}.json", text.encode() + b"\n")

    def append_metrics(self, table: pa.Table) -> None:
        """Adds rows to the metrics, as a file of their own."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        name = f"part-{self._parts:06}.parquet"
        write_bytes(self.path / "metrics" / name, sink.getvalue().to_pybytes())
        self._parts += 1

    def save_params(self, group: int, params: Any, **facts: Any) -> None:
        """Writes the final params of a group, every leaf [runs, ...]."""
        save_tree(params_file(self.path, group), params, facts)


def params_file(folder: Path, group: int) -> Path:
    """Where the final params of a group lie."""
    return folder / f"params-{group}.safetensors"


def load_file(folder: str | os.PathLike[str], group: int, name: str) -> Any:
    """What `save_file` wrote.

    Raises:
      UserError: if it is not there or damaged.
    """
    path = Path(folder) / f"{name}-{group}.json"
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"no file {path}: is the folder one of another workload?") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def load_params(folder: str | os.PathLike[str], group: int, place: int) -> Any:
    """The final params of one run of a group, as nested dicts of arrays.

    Raises:
      UserError: if they are not there, as before a group has ended, or damaged.
    """
    path = params_file(Path(folder), group)
    if not path.is_file():
        raise UserError(f"no file {path}: it is written when its runs have ended")
    return load_nested(path, place)
