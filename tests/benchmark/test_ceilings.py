"""Tests of the measured ceilings: matrix products and copies."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.benchmark import ceilings


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(ceilings, "SIZES", (64, 128))
    monkeypatch.setattr(ceilings, "COPIED_BYTES", 2**16)
    monkeypatch.setattr(ceilings, "SECONDS", 1e-3)


def test_both_precisions_and_copies_are_measured():
    found = ceilings.measure_ceilings()
    assert set(found.flops_per_second) == {"float32", "bfloat16"}
    assert all(rate > 1e6 for rate in (*found.flops_per_second.values(), found.bytes_per_second))


def test_xla_does_not_optimize_the_timed_loop_away(monkeypatch):
    """A loop that is optimized away would seem to take no time, so its result is checked."""
    turns, results, block = [], [], jax.block_until_ready

    def count(number):
        turns.append(int(number))
        return np.int32(number)

    def keep(x):
        results.append(float(block(x)[0, 0]))
        return x

    x = jnp.zeros((jax.local_device_count(), 4))
    monkeypatch.setattr(ceilings, "np", SimpleNamespace(int32=count, asarray=np.asarray))
    monkeypatch.setattr(ceilings.jax, "block_until_ready", keep)
    ceilings._rate(lambda y: y + 1, x)
    assert results[-1] == sum(turns)


def test_a_rate_is_iterations_over_seconds_of_the_fastest_repeat(monkeypatch):
    """The clock advances one second per call, so the fastest repeat has the most iterations."""
    clock = iter(range(1_000))
    monkeypatch.setattr(ceilings.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(ceilings, "SECONDS", 10.0)
    rate = ceilings._rate(lambda y: y + 1, jnp.zeros((jax.local_device_count(), 4)))
    assert rate == 10.0**ceilings.REPEATS
