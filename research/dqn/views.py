"""What the report shows of agents: the latest animations of them at play."""

from typing import Any

from research.folders import files_in
from research.report.one_run import OneRun
from research.report.read import RunFolderData
from research.report.summary import Summary
from research.report.views import Image, Shown, Views, image
from research.runs.experiment import Experiment

EPISODE_STEPS = 300  # of an animation: all of it is in the page
MOST_ANIMATIONS = 2  # on the page: the latest


def show(summary: Summary, run: int) -> Shown:
    """The latest animations of a run folder."""
    return Shown(images=animations(summary.runs[run]))


def animations(run: RunFolderData) -> list[Image]:
    """The latest animations of a run folder, the last one made at the end."""
    paths = sorted(files_in(run.path, "run-*.gif"), key=lambda path: path.lstat().st_mtime)
    return [
        image(path, path.name, f"An episode of a trained agent: {path.name}")
        for path in paths[-MOST_ANIMATIONS:]
    ]


def make_examples(run: RunFolderData) -> None:
    """Has the best agent play an episode, unless one of the run folder has.

    Raises:
      UserError: if its environment cannot be drawn.
    """
    if files_in(run.path, "run-*.gif"):
        return
    from research.cli.machine import configure_jax  # here: a page of what is there plays nothing
    from research.dqn.tools import watch

    configure_jax()
    watch.main(watch.Arguments(str(run.path), steps=EPISODE_STEPS))


def restore(data: RunFolderData, run: OneRun, experiment: Experiment | None) -> Any:
    """The agent that a run has trained, as `research.dqn.tools.trained.TrainedAgent`."""
    from research.dqn.tools import trained  # here: a page of what is there restores nothing

    return trained.restore(data, run, experiment)


VIEWS = Views(show, make_examples, experiments=("pqn",), restore=restore)
