"""Tests of samplers as pure functions: of a space and a history. Those of Optuna are skipped where
it is not installed."""

import importlib.util
import math
import statistics

import numpy as np
import pytest

from research.errors import UserError
from research.runs.samplers import (
    PACKAGES,
    SAMPLERS,
    Told,
    batch_seed,
    check_installed,
    losses_of,
    propose,
)
from research.runs.space import Dimension, key_of

SPACE = (
    Dimension("rate", (), 1e-4, 1.0, log=True),
    Dimension("momentum", (), 0.0, 1.0),
    Dimension("layers", (), 1, 4),
    Dimension("double", (False, True)),
)


def is_installed(sampler):
    return all(map(importlib.util.find_spec, PACKAGES.get(sampler, ())))


def skip_if_missing(sampler):
    if not is_installed(sampler):
        pytest.skip(f"{' or '.join(PACKAGES[sampler])} is not installed")


SLOW = {"gp": [pytest.mark.slow]}  # seconds for a setting


@pytest.fixture(params=[pytest.param(name, marks=SLOW.get(name, [])) for name in SAMPLERS])
def sampler(request):
    """Each sampler that is installed, in turn."""
    skip_if_missing(request.param)
    return request.param


def quadratic(setting):
    """A loss whose best settings are at a rate of 0.01 and a momentum of 0.3."""
    place = math.log10(setting["rate"]) + 2
    return place**2 + 9 * (setting["momentum"] - 0.3) ** 2


def search(sampler, seed, batches=4, size=12, space=SPACE, loss=quadratic):
    """The history after some batches."""
    told, size = [], 4 if sampler == "gp" else size
    for batch in range(batches):
        settings = propose(sampler, space, told, size, batch_seed(seed, batch))
        told += [Told(setting, loss(setting), batch) for setting in settings]
    return told


def test_settings_are_in_the_space_and_none_is_proposed_twice(sampler):
    told = search(sampler, 0)
    assert len({key_of(one.values) for one in told}) == len(told) >= 16
    for one in told:
        assert all(dimension.holds(one.values[dimension.name]) for dimension in SPACE)
        assert one.values["momentum"] == float(f"{one.values['momentum']:.3e}")


def test_the_same_history_gives_the_same_settings_and_another_seed_others(sampler):
    first = search(sampler, 0)
    assert search(sampler, 0) == first
    assert search(sampler, 1) != first


def test_settings_that_the_task_does_not_take_are_not_proposed(sampler):
    allowed = lambda setting: setting["momentum"] > 0.5 and setting["layers"] < 4
    before = propose("random", SPACE, [], 16, 3, allowed)
    told = [Told(setting, quadratic(setting), 0) for setting in before]
    settings = propose(sampler, SPACE, told, 16, 5, allowed)
    assert len(settings) == 16
    assert all(map(allowed, settings))


def test_a_space_of_few_settings_is_searched_to_the_last(sampler):
    told = search(sampler, 0, batches=2, size=4, space=SPACE[2:], loss=lambda setting: 1.0)
    assert len({key_of(one.values) for one in told}) == 8
    assert propose(sampler, SPACE[2:], told, 4, 0) == []


def test_a_sobol_sequence_leaves_no_gap():
    settings = propose("sobol", SPACE[:2], (), 64, 7)
    cells = {(int(SPACE[0].place(one["rate"]) * 8), int(one["momentum"] * 8)) for one in settings}
    assert len(cells) == 64


def test_losses_are_finite_and_a_diverged_setting_is_the_worst():
    losses = losses_of([Told({}, loss, 0) for loss in (1.0, None, 3.0, -1.0)])
    assert losses == [1.0, pytest.approx(3.4), 3.0, -1.0]
    assert losses_of([Told({}, None, 0)] * 2) == [0.0, 0.0]
    assert np.isfinite(losses_of([Told({}, loss, 0) for loss in (1e308, -1e308, None)])).all()


@pytest.mark.parametrize(
    ("name", "size"), [("tpe", 12), ("cmaes", 24), pytest.param("gp", 4, marks=pytest.mark.slow)]
)
def test_a_sampler_that_looks_at_scores_beats_random_search_at_the_same_budget(name, size):
    """In the median of repetitions, by a factor of 2; with the seeds fixed, so that it holds
    or does not. A sampler that is told the wrong sign is worse than random search."""
    skip_if_missing(name)

    def best(sampler, loss=quadratic):
        repeats = range(5 if sampler != "gp" else 2)
        found = [search(sampler, seed, batches=6, size=size, space=SPACE[:2], loss=loss)
                 for seed in repeats]  # fmt: skip
        return statistics.median(min(quadratic(one.values) for one in told) for told in found)

    assert best(name) < best("random") / 2


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_an_earlier_search_is_told_before_the_first_batch(name):
    skip_if_missing(name)
    earlier = [one._replace(batch=-1) for one in search("sobol", 0, batches=1, size=64)]
    near = lambda settings: statistics.median(map(quadratic, settings))
    without = propose(name, SPACE, [], 16, 1)
    assert near(propose(name, SPACE, earlier, 16, 1)) < near(without) / 2


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_a_diverged_region_is_left(name):
    skip_if_missing(name)
    loss = lambda setting: None if setting["momentum"] > 0.5 else quadratic(setting)
    told = search(name, 0, batches=4, size=24, loss=loss)
    diverged = [one.loss is None for one in told]
    assert sum(diverged[:24]) > 6
    assert sum(diverged[-24:]) < sum(diverged[:24]) / 2


@pytest.mark.parametrize(
    ("sampler", "package", "how"),
    [
        ("tpe", "optuna", "set up with SEEDBED_ALSO=optuna scripts/run"),
        ("cmaes", "cmaes", "set up with SEEDBED_ALSO=optuna scripts/run"),
        ("gp", "torch", "install torch with pip"),
    ],
)
def test_a_missing_package_is_told_with_what_to_install(sampler, package, how, monkeypatch):
    def without(name):
        if name == package:
            raise ImportError
        return math  # as if it were installed

    check_installed("random")
    monkeypatch.setattr(importlib, "import_module", without)
    says = f"--sampler {sampler}: the package {package} is missing: {how}"
    with pytest.raises(UserError, match=says):
        check_installed(sampler)
