"""Tests of averaging params, and of when averaging begins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from research.engine.axes import check_axes
from research.errors import UserError
from research.lm.averaging import MEMORY, average_since, check_trigger, start_trigger, update_ema
from research.lm.config import HParams


def by_the_algorithm(losses, n):
    """Algorithm 1 of Merity, Keskar and Socher (2018), transcribed literally."""
    logs, begun = [], []
    for loss in losses:
        triggered = len(logs) > n and loss > min(logs[:-n])
        begun.append(triggered or any(begun))
        logs.append(loss)
    return begun


@jax.jit
def begun_after(losses, n):
    """Whether averaging has begun after each of these checks."""

    def check(trigger, loss):
        trigger = check_trigger(trigger, loss, n)
        return trigger, trigger.begun

    return lax.scan(check, start_trigger(), losses)[1]


def test_averaging_begins_as_in_the_published_algorithm():
    random = np.random.default_rng(0)
    for n in (1, 2, 5):
        for _ in range(20):
            losses = np.float32(3 - np.linspace(0, 2, 25) ** 0.5 + 0.2 * random.normal(size=25))
            begun = begun_after(jnp.asarray(losses), jnp.float32(n)).tolist()
            assert begun == by_the_algorithm(losses.tolist(), n)
            assert any(begun)


@pytest.mark.parametrize("n", [1, 31, 32, 100, MEMORY - 1])
def test_a_trigger_interval_may_fill_the_whole_history(n):
    """Check 0 has the lowest loss. The loss of check n + 1 is the first that is above the lowest of
    all checks but the last n."""
    losses = jnp.full(MEMORY + 10, 2.0).at[0].set(1.0)
    begun = begun_after(losses, jnp.float32(n))
    assert begun.tolist() == by_the_algorithm(losses.tolist(), n)
    assert int(jnp.argmax(begun)) == n + 1


@pytest.mark.parametrize("n", [MEMORY, 10 * MEMORY])
def test_a_trigger_interval_beyond_the_history_is_refused(n):
    assert not begun_after(jnp.arange(MEMORY + 10.0), jnp.float32(n)).any()
    with pytest.raises(UserError, match=f"--trigger-after .*between 1 and {MEMORY - 1}"):
        check_axes(HParams, {"trigger_after": [1.0, float(n)]})


def test_a_fractional_trigger_interval_is_rounded_down():
    losses = jnp.array([5.0, 4.0, 4.5, 4.2, 3.9, 4.1, 4.05, 3.95, 3.0])
    #                   the lowest of all but the last two:  5.0, 4.0, 4.0, 4.0, 3.9, ...
    for n in (2.0, 2.5):
        assert begun_after(losses, jnp.float32(n)).tolist() == [False] * 5 + [True] * 4


def test_the_average_is_the_mean_of_params_since_it_began():
    trigger, average = start_trigger(), {"w": jnp.float32(100)}
    for value in (1.0, 2.0):
        trigger, average = average_since(trigger, average, {"w": jnp.float32(value)})
        assert float(average["w"]) == value
    trigger = trigger._replace(begun=jnp.bool_(True))
    for value, mean in ((3.0, 3.0), (5.0, 4.0), (10.0, 6.0)):
        trigger, average = average_since(trigger, average, {"w": jnp.float32(value)})
        assert float(average["w"]) == mean


def test_an_exponential_average_by_hand():
    average = update_ema({"w": jnp.float32(2)}, {"w": jnp.float32(6)}, 0.75)
    assert float(average["w"]) == 3
