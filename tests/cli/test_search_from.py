"""Tests of what a sampler is told of another run folder."""

import numpy as np
import pytest

from research.cli.search_from import read_search_from
from research.engine.cadence import Intervals
from research.errors import UserError
from research.runs.experiment import Experiment, make_parts
from research.runs.search import Search
from research.task import Problem
from tests import toy

SCORES = np.zeros((4, 4, 3), np.float32)  # settings, seeds, steps
SCORES[:, :, -1] = [[1, 2, 3, 4], [5, 5, 5, 5], [8, 9, 9, 8], [0, 0, 0, 0]]
AXES = {"rate": [0.5, 2.0], "decay": [0.1, 0.2]}


def evaluate(shared, hparams, state, key):
    return {"validation_score": state.params["w"], "score": state.params["w"]}


TASK = toy.TASK._replace(evaluate=evaluate, key_metric="validation_score", higher_is_better=True)


@pytest.fixture
def tell():
    """A function that returns what a search of the toy task is told of a folder."""

    def told(folder, task=TASK, facts=(), settings=3, **axes):
        problem = Problem(task, toy.problem().shared, dict(facts))
        experiment = Experiment(
            name="toy", make_problem=lambda config: problem, config=toy.ToyHParams(),
            hparams=toy.ToyHParams(), hparams_axes=axes or {"rate": (0.1, 4.0)}, steps=3,
            intervals=Intervals(log_every=1), search=Search(settings, 0, "tpe", 1),
        )  # fmt: skip
        search_from = read_search_from(str(folder))
        assert search_from is not None
        return search_from.read(experiment, make_parts(experiment))

    return told


def test_the_scores_of_shared_hyper_parameters_are_told_with_what_is_left_out(make_sweep, tell):
    folder = make_sweep(SCORES, axes=AXES, hparams={"fail_at": -1})
    (told,), notes = tell(folder, rate=(0.1, 4.0), fail_at=(-1, 2, 5))
    assert [(one.values, one.loss, one.batch) for one in told] == [
        ({"rate": 0.5, "fail_at": -1}, -2.5, -1),  # higher is better; the middle half of the seeds
        ({"rate": 0.5, "fail_at": -1}, -5.0, -1),
        ({"rate": 2.0, "fail_at": -1}, -8.5, -1),
        ({"rate": 2.0, "fail_at": -1}, 0.0, -1),
    ]
    assert [note.partition(": ")[2] for note in notes] == [
        "decay is not searched here and is ignored",
        "fail_at had one value there, which is told",
        "the sampler is told 4 scores of it",
    ]


def test_settings_outside_what_is_searched_are_left_out(make_sweep, tell):
    folder = make_sweep(SCORES, axes=AXES)
    (told,), notes = tell(folder, rate=(1.0, 4.0))
    assert [one.values["rate"] for one in told] == [2.0, 2.0]
    assert any("2 settings of it not in what is searched" in note for note in notes)
    with pytest.raises(UserError, match="none of its settings that ended is in what is searched"):
        tell(folder, rate=(3.0, 4.0))


def test_a_value_is_told_as_typed_and_a_diverged_setting_without_a_loss(make_sweep, tell):
    results = [{"diverged": [{"run": run, "step": 1} for run in (5, 6, 7)]}]
    folder = make_sweep(SCORES[:2], axes={"rate": [0.1, 0.3]}, results=results)
    (told,), _ = tell(folder, rate=(0.1, 0.2, 0.3))
    assert [(one.values, one.loss) for one in told] == [
        ({"rate": 0.1}, -2.5),
        ({"rate": 0.3}, None),
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"fail_at": (1, 9)}, "it searched --rate, --decay, and none of that is searched here"),
        ({"task": TASK._replace(higher_is_better=False)}, "judged by validation_score"),
        ({"task": TASK._replace(key_metric="score")}, "judged by validation_score, and here by"),
        ({"facts": {"env": "Acrobot-v1"}}, "it is of another problem than Acrobot-v1"),
    ],
)
def test_a_folder_of_something_else_is_refused(make_sweep, tell, given, says):
    folder = make_sweep(SCORES, axes=AXES)
    with pytest.raises(UserError, match=f"^--search-from {folder}: .*{says}"):
        tell(folder, **given)


def test_the_scores_of_another_algorithm_are_not_told(make_sweep, tell):
    """They are of the same problem, but a learning rate that is good there may be bad here."""
    of = lambda algorithm: {"algorithm": algorithm, "env": "A"}
    folder = make_sweep(SCORES, axes=AXES, data=[of("pqn")])
    with pytest.raises(UserError, match="its settings were trained by pqn, not by dqn; what is"):
        tell(folder, facts=of("dqn"))
    (told,), _ = tell(folder, facts=of("pqn"))
    assert len(told) == 4


def test_what_is_no_run_folder_is_refused(tmp_path, tell):
    with pytest.raises(UserError, match=r"^--search-from: .* is no run folder"):
        tell(tmp_path)
    assert read_search_from(None) is None
