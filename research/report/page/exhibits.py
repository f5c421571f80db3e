"""What else a run folder has to show: an agent at play, text that a model wrote."""

import base64
from pathlib import Path
from typing import Any, NamedTuple

from research.folders import files_in
from research.report.read import RunFolderData
from research.report.samples import read_samples

MOST_BYTES = 1_500_000  # of an animation; the page is to stay small
MOST_ANIMATIONS = 2  # the latest
MOST_TEXTS = 6
MOST_LETTERS = 3_000


class Animation(NamedTuple):
    """A GIF of an agent.

    Attributes:
      name: of the file.
      source: a data URI; empty if the file is too large for the page.
    """

    name: str
    source: str


class Text(NamedTuple):
    """What a language model wrote.

    Attributes:
      title: which run, and how its tokens were chosen.
      prompt, text: of it; the text continues the prompt.
    """

    title: str
    prompt: str
    text: str


def animations(run: RunFolderData) -> list[Animation]:
    """The latest animations of a run folder."""
    paths = sorted(files_in(run.path, "run-*.gif"), key=lambda path: path.stat().st_mtime)
    return [_animation(path) for path in paths[-MOST_ANIMATIONS:]]


def _animation(path: Path) -> Animation:
    data = path.read_bytes()
    if len(data) > MOST_BYTES:
        return Animation(path.name, "")
    return Animation(path.name, f"data:image/gif;base64,{base64.b64encode(data).decode()}")


def texts(run: RunFolderData) -> list[Text]:
    """What the models of a run folder wrote, the latest first.

    Raises:
      UserError: if the file is damaged.
    """
    return [_text(sample) for sample in read_samples(run.path)[::-1][:MOST_TEXTS]]


def _text(sample: dict[str, Any]) -> Text:
    title = f"run {sample['run']}, seed {sample['of_seed']}, temperature {sample['temperature']:g}"
    prompt, text = sample["prompt"], sample["text"]
    return Text(title, prompt, text.removeprefix(prompt)[:MOST_LETTERS])
