"""Tests of a search in a notebook, on the toy task, whose score is the sum of `rate` over steps."""

import math

import numpy as np
import pytest

from research.engine import program
from research.errors import UserError
from research.runs import study as studies
from research.runs.study import Study
from tests import toy


@pytest.fixture
def make_study():
    """A function that makes a study of the toy task, whose lower scores are the better."""

    def make(sampler="sobol", seeds=2, **space):
        space = space or {"rate": (0.0, 10.0)}
        return Study(toy.problem(), toy.ToyHParams(), space, seeds=seeds, sampler=sampler)

    return make


def test_batches_of_one_size_are_trained_by_one_program(make_study, monkeypatch):
    study, compiled = make_study(), []

    def counted(*args, **options):
        compiled.append(1)
        return program.compile_program(*args, **options)

    monkeypatch.setattr(studies, "compile_program", counted)
    for _ in range(2):
        settings = study.ask(4)
        scores = study.train(settings, steps=6)
        rates = np.array([setting["rate"] for setting in settings], np.float32)
        np.testing.assert_allclose(scores, np.repeat(6 * rates[:, None], 2, 1), rtol=1e-6)
        study.tell(settings, scores)
    assert len(compiled) == 1
    told = sorted(one.values["rate"] for one in study._told)
    assert len(set(told)) == 8
    assert study.best.setting == {"rate": told[0]}
    assert study.best.score == pytest.approx(6 * told[0])


def test_a_diverged_run_has_no_score_and_its_setting_is_never_the_best(make_study):
    study = make_study(rate=(0.0, 1.0), fail_at=(-1, 2, 3))
    settings = [{"rate": 0.25, "fail_at": 2}, {"rate": 0.5, "fail_at": -1}]
    scores = study.train(settings, steps=4)
    np.testing.assert_array_equal(scores, [[np.nan, np.nan], [2.0, 2.0]])
    study.tell(settings[:1], scores[:1])
    assert math.isnan(study.best.score)
    study.tell(settings[1:], scores[1:])
    assert study.best == (settings[1], 2.0)


def test_a_study_that_is_told_the_same_asks_the_same_and_never_twice(make_study):
    first, second = make_study("random"), make_study("random")
    for _ in range(3):
        settings = first.ask(5)
        assert second.ask(5) == settings
        for study in (first, second):
            study.tell(settings, [one["rate"] for one in settings])
    assert len({one.values["rate"] for one in first._told}) == 15
    exhausted = make_study("random", rate=(1.0, 2.0, 3.0))
    exhausted.tell(exhausted.ask(2), [1.0, 2.0])
    assert len(exhausted.ask(1)) == 1
    with pytest.raises(UserError, match="ask 2: at most 1 setting can be asked"):
        exhausted.ask(2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda study: study.tell([{"rate": 1.0}], [[1.0], [2.0]]), "for 1 settings"),
        (lambda study: study.tell([{"rate": 99.0}], [1.0]), "rate 99.0: is not in"),
        (lambda study: study.train([{"speed": 1.0}], 4), "has values for rate"),
        (lambda study: study.best, "told of no setting"),
        (lambda study: study.ask(0), "ask 0: must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_told(make_study, call, says):
    with pytest.raises(UserError, match=says):
        call(make_study())


def test_an_unknown_sampler_or_an_empty_space_is_refused(make_study):
    with pytest.raises(UserError, match="sampler best: there are random, sobol"):
        make_study("best")
    with pytest.raises(UserError, match="needs a range"):
        Study(toy.problem(), toy.ToyHParams(), {}, sampler="random")
