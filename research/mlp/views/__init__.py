"""What the report shows of classifiers: ROC and precision-recall curves, and confusion matrices."""

from typing import Any

from research.folders import files_in
from research.mlp.views.charts import class_charts
from research.report.one_run import OneRun
from research.report.read import RunFolderData
from research.report.summary import Summary
from research.report.views import Shown, Views
from research.runs.experiment import Experiment


def show(summary: Summary, run: int) -> Shown:
    """The curves and the confusion matrix of the best setting that was evaluated."""
    return Shown(charts=class_charts(summary, run))


def make_examples(run: RunFolderData) -> None:
    """Has the nets of the best setting predict the validation and the test part, unless those of a
    setting have."""
    if files_in(run.path / "evaluation", "predictions-*.safetensors"):
        return
    from research.cli.machine import configure_jax  # here: a page of what is there trains nothing
    from research.mlp.tools import evaluate

    configure_jax()
    evaluate.main(evaluate.Arguments(str(run.path), settings="best"))


def restore(data: RunFolderData, run: OneRun, experiment: Experiment | None) -> Any:
    """The net that a run has trained, as `research.mlp.tools.trained_net.TrainedNet`."""
    from research.mlp.tools import trained_net  # here: a page of what is there restores nothing

    return trained_net.restore(data, run, experiment)


VIEWS = Views(show, make_examples, restore=restore)
