"""Tests of dropout rates and masks, and hand-computed penalties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.lm.regularization import drop, keep_mask, penalty


def test_dropout_drops_its_rate_and_keeps_the_mean():
    mask = np.asarray(keep_mask(jax.random.key(0), jnp.float32(0.3), (100_000,)))
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert (mask == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert mask.mean() == pytest.approx(1, abs=0.02)


def test_dropout_at_rate_1_gives_no_nan():
    np.testing.assert_array_equal(keep_mask(jax.random.key(0), jnp.float32(1), (9,)), np.zeros(9))


@pytest.mark.parametrize("locked", [False, True])
def test_a_locked_mask_is_constant_over_steps_and_differs_between_streams(locked):
    dropped = np.asarray(drop(jnp.ones((50, 4, 30)), jax.random.key(0), 0.5, locked) == 0)
    assert (dropped == dropped[:1]).all() == locked
    assert (dropped[:, 0] != dropped[:, 1]).any()


def test_penalties_by_hand():
    out, raw = jnp.array([1.0, 2.0]).reshape(2, 1, 1), jnp.array([1.0, 4.0]).reshape(2, 1, 1)
    assert float(penalty(out, raw, 2.0, None)) == 5  # 2 (1 + 4) / 2
    assert float(penalty(out, raw, None, 3.0)) == 27  # 3 (4 - 1)**2
    assert float(penalty(out, raw, 2.0, 3.0)) == 32
    assert float(penalty(out, raw, None, None)) == 0


def test_a_window_of_one_step_has_no_change_to_penalize():
    """A mean over no changes would be NaN, even for runs without the penalty."""
    one = jnp.full((1, 2, 3), 2.0)
    gradient = jax.grad(lambda raw, slowness: penalty(raw, raw, 0.5, slowness))
    for slowness in (0.0, 3.0):
        assert float(penalty(one, one, 0.5, jnp.float32(slowness))) == 2
        np.testing.assert_allclose(gradient(one, jnp.float32(slowness)), 2 * 0.5 * 2 / 6, rtol=1e-6)
