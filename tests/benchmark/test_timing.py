"""Tests of timing a task: compilation, repeats and throughput."""

import jax
import numpy as np
import pytest

from research.benchmark import timing
from research.benchmark.timing import Ready, time_case
from tests.benchmark.conftest import SIZE


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 1e-3)


def test_throughput_counts_the_work_that_was_done(case):
    found = time_case(case, runs=3, steps=5, repeats=4)
    assert found.runs == 3
    assert len(found.repeats) == 4
    assert found.steps % 5 == 0
    rates = [3 * found.steps * SIZE / seconds for seconds in found.repeats]
    assert found.units_per_second == pytest.approx(np.median(rates))
    assert found.low <= found.units_per_second <= found.high
    product = 2 * SIZE**3 / SIZE  # of a unit
    assert product <= found.flops_per_unit < 1.2 * product
    assert found.bytes_per_unit == 2 * 4 * (SIZE**2 + SIZE) / SIZE
    assert found.peak_bytes > 3 * 4 * SIZE**2 / len(jax.local_devices())


@pytest.mark.slow
def test_compilation_is_timed_by_phase(case):
    made = time_case(case, runs=1, steps=2, repeats=2).making
    assert min(made) > 0


def test_the_second_compilation_reads_the_disk_cache(case, monkeypatch):
    hits = []
    compile_program = timing.compile_program

    def watched(*args):
        program = compile_program(*args)
        hits.append(program.cost.cache_hits)
        return program

    monkeypatch.setattr(timing, "compile_program", watched)
    Ready(case, 1, 2)
    cold, cached = hits
    assert cold == 0
    assert cached >= 3  # init, train, evaluate


def test_without_the_cache_programs_are_made_once(case, monkeypatch):
    made = []
    compile_program = timing.compile_program
    monkeypatch.setattr(
        timing, "compile_program", lambda *args: made.append(1) or compile_program(*args)
    )
    assert Ready(case, 1, 2, cached=False).making.cached is None
    assert len(made) == 1


@pytest.mark.slow
def test_the_cache_is_left_as_it_was(case, tmp_path):
    before = jax.config.jax_compilation_cache_dir
    Ready(case, 1, 2)
    assert jax.config.jax_compilation_cache_dir == before


def test_each_repeat_continues_from_the_last_state(case):
    """The params are those after the steps of all calls together."""
    ready = Ready(case, 2, 3)
    start = np.asarray(timing.start_blocks(ready.program, _runs(case))[0].states.params)
    called = ready._called
    after = np.asarray(ready._blocks[0].states.params)
    steps = 3 * called
    flipped = start[..., ::-1] if steps % 2 else start
    np.testing.assert_allclose(after[:2], (0.5**steps * flipped)[:2], rtol=1e-5)
    ready.repeat()
    assert ready._called == called + ready._calls


def _runs(case):
    return timing.make_runs(case.hparams, {}, range(2))
