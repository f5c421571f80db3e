"""Averages of weights, and when they begin."""

import jax.numpy as jnp
import numpy as np

from research.lm.averaging import average_since, check_trigger, move_ema, start_trigger


def by_the_algorithm(losses, n):
    """Algorithm 1 of Merity, Keskar and Socher (2018), as it is written there."""
    logs, begun = [], []
    for loss in losses:
        triggered = len(logs) > n and loss > min(logs[:-n])
        begun.append(triggered or any(begun))
        logs.append(loss)
    return begun


def test_averaging_begins_when_the_published_algorithm_says():
    random = np.random.default_rng(0)
    for n in (1, 2, 5):
        for _ in range(20):
            losses = np.float32(3 - np.linspace(0, 2, 25) ** 0.5 + 0.2 * random.normal(size=25))
            trigger, begun = start_trigger(), []
            for loss in losses:
                trigger = check_trigger(trigger, jnp.float32(loss), jnp.float32(n))
                begun.append(bool(trigger.begun))
            assert begun == by_the_algorithm(losses.tolist(), n)
            assert any(begun)


def test_the_average_is_the_mean_of_all_since_it_began():
    trigger, average = start_trigger(), {"w": jnp.float32(100)}
    for value in (1.0, 2.0):
        trigger, average = average_since(trigger, average, {"w": jnp.float32(value)})
        assert float(average["w"]) == value
    trigger = trigger._replace(begun=jnp.bool_(True))
    for value, mean in ((3.0, 3.0), (5.0, 4.0), (10.0, 6.0)):
        trigger, average = average_since(trigger, average, {"w": jnp.float32(value)})
        assert float(average["w"]) == mean


def test_an_exponential_average_by_hand():
    average = move_ema({"w": jnp.float32(2)}, {"w": jnp.float32(6)}, 0.75)
    assert float(average["w"]) == 3
