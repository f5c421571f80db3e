"""Tests of memory needs, and of splitting runs to fit."""

import jax
import pytest

from research.engine import memory
from research.engine.memory import Cost


def cost(peak_bytes, shared_bytes=0):
    nothing = Cost(*[0] * len(Cost._fields))
    return nothing._replace(peak_bytes=peak_bytes, shared_bytes=shared_bytes)


def test_runs_that_fit_are_not_split():
    assert memory.pieces_needed(cost(100), 100) == 1
    assert memory.pieces_needed(cost(100), 99) == 2


@pytest.mark.parametrize("shared", [0, 10, 37])
@pytest.mark.parametrize("limit", [38, 40, 64, 99])
def test_runs_are_split_into_as_few_parts_as_fit_beside_shared_data(shared, limit):
    pieces = memory.pieces_needed(cost(100, shared), limit)
    assert shared + (100 - shared) / pieces <= limit
    assert shared + (100 - shared) / (pieces - 1) > limit


def test_shared_data_that_does_not_fit_needs_more_parts_than_runs():
    assert memory.pieces_needed(cost(10**9, 10**8), 10**7) >= 10**8


def test_out_of_memory_errors_are_recognized():
    message = "RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"
    assert memory.is_out_of_memory(jax.errors.JaxRuntimeError(message))
    assert not memory.is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: a bug"))
    assert not memory.is_out_of_memory(ValueError(message))


def test_the_reason_for_splitting_is_given_in_gigabytes():
    assert "12.3GB of a device, and 8GB" in memory.too_much(cost(12_345_000_000), 8 * 10**9)


@pytest.mark.parametrize(
    ("limit", "pieces", "looked_at"),
    [
        (200, 1, [10]),
        (100, 2, [10, 5]),
        (60, 6, [10, 4, 2]),
        (25, 10, [10, 2, 1]),
        (19, 11, [10, 2, 1]),
    ],
)
def test_a_part_is_looked_at_before_it_is_said_to_fit(limit, pieces, looked_at):
    """What a program needs is no multiple of its runs: here, 10 beside 15 a run."""
    seen = []

    def cost_of(runs):
        seen.append(runs)
        return cost(10 + 15 * runs)

    assert memory.pieces_that_fit(cost_of, 10, limit) == pieces
    assert seen == looked_at
