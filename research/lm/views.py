"""What the report shows of language models: the latest texts that they wrote.

The texts of a run folder are kept in its `evaluation/samples.json`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from research.atomic import write_bytes
from research.errors import UserError
from research.report.read import RunFolderData
from research.report.summary import Summary
from research.report.views import Shown, Text, Views

MOST_KEPT = 20
MOST_TEXTS = 6  # on the page
MOST_LETTERS = 3_000  # of a text on the page
FACTS = {"run", "of_seed", "prompt", "temperature", "text"}  # of every sample, at least


def show(summary: Summary, run: int) -> Shown:
    """The latest texts of a run folder."""
    return Shown(texts=texts(summary.runs[run]))


def texts(run: RunFolderData) -> list[Text]:
    """What the models of a run folder wrote, the latest first.

    Raises:
      UserError: if the file is damaged.
    """
    return [_text(sample) for sample in read_samples(run.path)[::-1][:MOST_TEXTS]]


def _text(sample: Mapping[str, Any]) -> Text:
    """The continuation of the prompt, and which run wrote it by which choice of tokens."""
    which = f"run {sample['run']}, seed {sample['of_seed']}"
    title = f"Written by {which}, temperature {sample['temperature']:g}"
    prompt = sample["prompt"]
    return Text(title, prompt, sample["text"].removeprefix(prompt)[:MOST_LETTERS])


def make_examples(run: RunFolderData) -> None:
    """Has the best model write a text, unless one of the run folder has."""
    if _path(run.path).is_file():
        return
    from research.cli.machine import configure_jax  # here: a page of what is there writes nothing

    configure_jax()
    import sample

    sample.main(sample.Arguments(str(run.path)))


def keep_sample(folder: Path, sample: Mapping[str, Any]) -> None:
    """Adds a text to those of a run folder, and drops the oldest if there are many.

    Args:
      folder: the run folder.
      sample: "text", "prompt", the number of the "run", its seed as "of_seed", "temperature", and
        what else there is to know, in JSON types.

    Raises:
      UserError: if it cannot be written, or what is there is damaged.
    """
    kept = [*read_samples(folder), dict(sample)][-MOST_KEPT:]
    path = _path(folder)
    try:
        path.parent.mkdir(exist_ok=True)
        write_bytes(path, json.dumps(kept, ensure_ascii=False, indent=1).encode())
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror}") from error


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """The texts of a run folder, the oldest first; none where none was kept.

    Raises:
      UserError: if the file is damaged.
    """
    path = _path(folder)
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


def _path(folder: Path) -> Path:
    return folder / "evaluation" / "samples.json"


VIEWS = Views(show, make_examples, experiments=("lstm_lm",))
