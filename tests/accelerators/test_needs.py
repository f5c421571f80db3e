"""What a program needs: the bounds of a step, and counts on average over its steps."""

import pytest

from research.accelerators.needs import StepLaunches, measure_needs, predict
from research.engine.axes import make_runs
from research.engine.cadence import Chunk
from tests import toy
from tests.accelerators.small_device import SMALL, compile_on_cpu


@pytest.mark.parametrize(
    ("kernels", "flops", "moved", "bound", "seconds"),
    [(40, 1e6, 1e3, "launches", 44e-6), (4, 1e9, 1e3, "FLOPs", 1e-3), (4, 1, 1e7, "memory", 1e-2)],
)
def test_the_largest_of_three_bounds_is_predicted(kernels, flops, moved, bound, seconds):
    launches = StepLaunches(kernels, 4, 0)
    assert predict(launches, flops, moved, "float32", SMALL) == (bound, pytest.approx(seconds))


def test_a_compiler_that_estimates_cycles_is_believed_where_it_is_slowest():
    tpu = SMALL._replace(launch_seconds=0.0, cycles_per_second=1e9)
    launches = StepLaunches(40, 4, 0, cycles=5e6)
    assert predict(launches, 1e6, 1e3, "float32", tpu) == ("cycles", pytest.approx(5e-3))
    assert predict(launches, 1e6, 1e7, "float32", tpu)[0] == "memory"


def test_blocks_that_take_turns_launch_one_after_the_other(monkeypatch):
    compile_on_cpu(monkeypatch)
    runs = make_runs(toy.ToyHParams(), {}, 4)
    needs_of = lambda lanes, chunk: measure_needs(
        toy.problem(), runs, "float32", SMALL, [chunk], most_lanes=lanes
    )
    one_block, two_blocks = (needs_of(lanes, Chunk(0, 2, 50, False)) for lanes in (4, 2))
    assert two_blocks.launches.kernels == pytest.approx(2 * one_block.launches.kernels, rel=0.2)
    counted = one_block.launches.kernels + one_block.launches.copies
    assert one_block.step_seconds == pytest.approx(counted * SMALL.launch_seconds)
    longer = needs_of(4, Chunk(0, 2, 500, False))
    assert longer.launches.kernels == pytest.approx(one_block.launches.kernels, rel=0.2)
