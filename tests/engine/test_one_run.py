"""Tests of tracing one run: which metrics it reports, and which hyper-parameters it reads."""

import pytest

from research.engine.axes import make_runs
from research.engine.one_run import metric_names
from research.errors import UserError
from tests import toy


def test_metric_names_are_known_before_anything_compiles():
    runs = make_runs(toy.ToyHParams(), {}, [0])
    step, evaluate = metric_names(toy.problem(), runs)
    assert set(step) == {"loss", "event"}
    assert set(evaluate) == {"score", "noise"}


def test_a_key_metric_that_is_not_evaluated_is_refused():
    problem = toy.problem()
    problem = problem._replace(task=problem.task._replace(key_metric="loss"))
    with pytest.raises(UserError, match="'loss' is not evaluated; there are noise, score"):
        metric_names(problem, make_runs(toy.ToyHParams(), {}, [0]))


def test_a_swept_hyperparameter_that_nothing_uses_is_refused():
    def step(shared, hparams, state, key, t):
        return toy.step(shared, hparams.replace(fail_at=-1), state, key, t)

    problem = toy.problem()
    problem = problem._replace(task=problem.task._replace(step=step))
    metric_names(problem, make_runs(toy.ToyHParams(), {"rate": [1.0, 2.0]}, [0]))
    with pytest.raises(UserError, match="--fail-at: nothing uses it"):
        metric_names(problem, make_runs(toy.ToyHParams(), {"fail_at": [1, 2]}, [0]))


def test_a_hyperparameter_used_in_one_function_counts_as_used():
    problem = toy.problem()

    def init(shared, hparams, key):
        return toy.init({"start": shared["start"] * hparams.rate}, hparams, key)

    def step(shared, hparams, state, key, t):
        return toy.step(shared, toy.ToyHParams(), state, key, t)

    problem = problem._replace(task=problem.task._replace(init=init, step=step))
    metric_names(problem, make_runs(toy.ToyHParams(), {"rate": [1.0, 2.0]}, [0]))
