"""The texts that the models of a run folder wrote, in its `evaluation/samples.json`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from research.atomic import write_bytes
from research.errors import UserError
from research.recorded import Count, Number, Recorded, Text, checked, read_json

MOST_KEPT = 20


class RecordedSample(Recorded):
    """A text, as in samples.json."""

    run: Count
    of_seed: Count
    prompt: Text
    temperature: Number
    text: Text


def keep_sample(folder: Path, sample: Mapping[str, Any]) -> None:
    """Adds a text to those of a run folder, and drops the oldest if there are many.

    Args:
      folder: the run folder.
      sample: "text", "prompt", the number of the "run", its seed as "of_seed", "temperature", and
        what else there is to know, in JSON types.

    Raises:
      UserError: if what is there is damaged.
      OSError: if it cannot be written.
    """
    kept = [*read_samples(folder), dict(sample)][-MOST_KEPT:]
    path = samples_path(folder)
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(kept, ensure_ascii=False, indent=1)
    write_bytes(path, text.encode("utf-8", "backslashreplace"))  # which JSON reads back


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """The texts of a run folder, the oldest first; none where none was kept.

    Raises:
      UserError: if the file is damaged.
    """
    path = samples_path(folder)
    if not os.path.lexists(path):
        return []
    samples = read_json(path)
    if not isinstance(samples, list):
        raise UserError(f"{path} is damaged: it holds no list; remove it")
    return [checked(sample, RecordedSample, path) for sample in samples]


def samples_path(folder: Path) -> Path:
    """The path of the file in a run folder."""
    return folder / "evaluation" / "samples.json"
