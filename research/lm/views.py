"""What the report shows of language models: the latest texts that they wrote."""

import os
from collections.abc import Mapping
from typing import Any

from research.lm.samples import read_samples, samples_path
from research.report.one_run import OneRun
from research.report.read import RunFolderData
from research.report.summary import Summary
from research.report.views import Shown, Text, Views
from research.runs.experiment import Experiment

MOST_TEXTS = 6  # on the page
MOST_LETTERS = 3_000  # of a text on the page


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
    if os.path.lexists(samples_path(run.path)):
        return
    from research.cli.machine import configure_jax  # here: a page of what is there writes nothing
    from research.lm.tools import sample

    configure_jax()
    sample.main(sample.Arguments(str(run.path)))


def restore(data: RunFolderData, run: OneRun, experiment: Experiment | None) -> Any:
    """The model that a run has trained, as `research.lm.tools.trained.TrainedModel`."""
    from research.lm.tools import trained  # here: a page of what is there restores nothing

    return trained.restore(data, run, experiment)


VIEWS = Views(show, make_examples, experiments=("lstm_lm",), restore=restore)
