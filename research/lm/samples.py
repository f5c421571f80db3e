"""The texts that the models of a run folder wrote, in its `evaluation/samples.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from research.atomic import write_text
from research.errors import UserError

MOST_KEPT = 20
FACTS = {"run", "of_seed", "prompt", "temperature", "text"}  # of every sample, at least


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
    write_text(path, json.dumps(kept, ensure_ascii=False, indent=1))


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """The texts of a run folder, the oldest first; none where none was kept.

    Raises:
      UserError: if the file is damaged.
    """
    path = samples_path(folder)
    if not path.is_file():
        return []
    try:
        samples = json.loads(path.read_text("utf-8"))
        complete = all(set(sample) >= FACTS for sample in samples)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}; remove it") from None
    if not complete:
        raise UserError(f"{path} is damaged: a text lacks one of {', '.join(sorted(FACTS))}")
    return samples


def samples_path(folder: Path) -> Path:
    """The path of the file in a run folder."""
    return folder / "evaluation" / "samples.json"
