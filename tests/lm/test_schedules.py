"""Tests of learning-rate schedules against hand-computed values."""

import jax.numpy as jnp
import numpy as np
import pytest

from research.lm import HParams
from research.lm.schedules import check_plateau, rate_factor, start_plateau


def factors(schedule, ts, **changes):
    hparams = HParams(**{"warmup": 0.0, "decay": 0.5, "decay_after": 4.0} | changes)
    return [float(rate_factor(schedule, hparams, jnp.int32(t), 10, 130)) for t in ts]


def test_zarembas_rate_is_halved_every_epoch_after_the_fourth():
    assert factors("decay", [0, 39, 40, 49, 50, 129]) == [1, 1, 0.5, 0.5, 0.25, 0.5**9]


def test_the_cosine_schedule_ends_at_0():
    np.testing.assert_allclose(factors("cosine", [0, 65, 130]), [1, 0.5, 0], atol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_schedules_without_decay_are_constant(schedule):
    assert factors(schedule, [0, 50, 129]) == [1, 1, 1]


def test_warm_up_is_linear_and_its_first_rate_is_not_0():
    np.testing.assert_allclose(
        factors("constant", [0, 1, 3, 4, 9], warmup=4.0), [0.25, 0.5, 1, 1, 1]
    )


def test_a_plateau_decays_the_rate_after_patience_stale_checks():
    plateau, scales = start_plateau(), []
    for loss in (5.0, 4.0, 4.0, 4.5, 3.0, 3.1, 3.1, 3.1, 3.1):
        plateau = check_plateau(plateau, jnp.float32(loss), 1.0, 0.5)
        scales.append(float(plateau.scale))
    assert scales == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert float(plateau.best) == 3
