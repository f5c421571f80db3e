"""What programs need, and into how many parts runs are cut."""

import jax
import pytest

from research.engine import memory
from research.engine.memory import Cost


def cost(peak_bytes, shared_bytes=0):
    nothing = Cost(*[0] * len(Cost._fields))
    return nothing._replace(peak_bytes=peak_bytes, shared_bytes=shared_bytes)


def test_runs_that_fit_are_left_together():
    assert memory.pieces_needed(cost(100), 100) == 1
    assert memory.pieces_needed(cost(100), 99) == 2


@pytest.mark.parametrize("shared", [0, 10, 37])
@pytest.mark.parametrize("limit", [38, 40, 64, 99])
def test_runs_are_cut_no_smaller_than_that_each_part_fits_beside_what_all_share(shared, limit):
    pieces = memory.pieces_needed(cost(100, shared), limit)
    assert shared + (100 - shared) / pieces <= limit
    assert shared + (100 - shared) / (pieces - 1) > limit


def test_shared_data_that_does_not_fit_asks_for_more_pieces_than_there_can_be():
    assert memory.pieces_needed(cost(10**9, 10**8), 10**7) >= 10**8


def test_a_device_that_is_full_is_told_from_other_errors():
    message = "RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"
    assert memory.is_out_of_memory(jax.errors.JaxRuntimeError(message))
    assert not memory.is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: a bug"))
    assert not memory.is_out_of_memory(ValueError(message))


def test_why_runs_are_cut_is_said_in_gigabytes():
    assert "12.3GB of a device, and 8GB" in memory.too_much(cost(12_345_000_000), 8 * 10**9)
