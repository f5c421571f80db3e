"""Tests of the host loop, and the contract on the toy task."""

from functools import partial

import jax
import numpy as np
import pandas as pd
import pytest

from research.engine import Cadence, sweep
from research.engine.axes import make_runs
from research.engine.blocks import start_blocks
from research.engine.cadence import plan_chunks
from research.engine.loop import train
from research.engine.metrics import Diverged
from research.engine.program import compile_program
from research.errors import UserError
from tests import contract, toy

CASE = contract.Case(toy.problem(), toy.ToyHParams(), {"rate": [1.0, 2.0]})


def test_a_run_in_a_sweep_equals_the_run_alone():
    contract.check_a_lane_is_a_lone_run(CASE, steps=10, atol=0)


def test_the_place_of_a_run_changes_no_bit():
    contract.check_place_changes_no_bit(CASE, steps=10)


def test_resuming_from_a_file_changes_no_bit(tmp_path):
    contract.check_resumes_bit_for_bit(CASE, tmp_path)


def test_chunk_length_changes_no_bit():
    contract.check_chunk_length_changes_no_bit(CASE, 50, (1, 7))


@pytest.mark.slow
def test_a_single_chunk_changes_no_bit():
    contract.check_chunk_length_changes_no_bit(CASE, 50, (50,))


def test_sharding_over_devices_changes_nothing_beyond_rounding():
    contract.check_sharded_is_unsharded(CASE, steps=10, atol=0)


def test_each_program_is_traced_once():
    contract.check_traced_once(CASE)


def test_metrics_have_one_row_per_run_and_log():
    case = CASE._replace(axes={"rate": [0.1, 0.2]})
    table = contract.run(case, 4, cadence=Cadence(2, 4, 4)).metrics
    assert list(table.columns[:7]) == ["run", "seed", "rate", "fail_at", "step", "diverged", "work"]
    assert list(table["run"]) == list(range(10)) * 2
    assert list(table["seed"]) == list(range(5)) * 4
    assert list(table["step"]) == [2] * 10 + [4] * 10
    assert list(table["work"]) == [6] * 10 + [12] * 10
    assert list(table["rate"]) == ([0.1] * 5 + [0.2] * 5) * 2  # as typed, not as float32
    assert table["score"].isna().sum() == 10  # evaluated at the end only
    np.testing.assert_allclose(table["score"][10:], [0.4] * 5 + [0.8] * 5, rtol=1e-6)


def test_splitting_runs_into_blocks_changes_nothing():
    one = contract.run(CASE, 10, seeds=5, most_lanes=10)
    many = contract.run(CASE, 10, seeds=5, most_lanes=3)
    assert one.metrics.equals(many.metrics)


def test_a_diverged_run_is_named_at_its_first_step():
    case = CASE._replace(axes={"fail_at": [-1, 3]})
    assert contract.run(case, 10).diverged == [Diverged(run=run, step=3) for run in range(5, 10)]


def test_resumed_runs_keep_their_status():
    case = CASE._replace(axes={"fail_at": [-1, 3, 8, 100, 4]})
    run = partial(contract.run, case, seeds=2, cadence=Cadence(1, 10, 5))
    whole, half = run(10), run(5)
    assert half.diverged == [(2, 3), (3, 3), (8, 4), (9, 4)]
    assert whole.diverged == [(2, 3), (3, 3), (4, 8), (5, 8), (8, 4), (9, 4)]
    rest = run(10, start=5, states=half.states, diverged=half.diverged)
    assert rest.diverged == whole.diverged
    both = pd.concat([half.metrics, rest.metrics], ignore_index=True)
    assert both["diverged"].equals(whole.metrics["diverged"])
    nothing_left = run(5, start=5, states=half.states, diverged=half.diverged)
    assert nothing_left.diverged == half.diverged


def compiled(devices, chunk=contract.CHUNK, **options):
    """The programs of the case, which earlier tests have compiled, with its runs and chunks."""
    runs = make_runs(toy.ToyHParams(), CASE.axes, range(contract.SEEDS))
    chunks = plan_chunks(4 * chunk, Cadence(1, 4 * chunk, chunk))
    return compile_program(CASE.problem, runs, chunks, devices=devices, **options), runs, chunks


def key_data(keys):
    return np.stack([jax.random.key_data(some) for some in keys])


def test_resumed_runs_are_not_initialized(one_device):
    program, runs, _ = compiled(one_device, resumed=True)
    assert program.init is None
    states = toy.ToyState({"w": np.ones(10, np.float32)}, np.zeros(10, np.float32))
    (block,) = start_blocks(program, runs, states)
    (fresh,) = start_blocks(compiled(one_device)[0], runs)
    assert key_data(block.keys).tolist() == (key_data(fresh.keys).tolist())


def test_records_are_fetched_one_chunk_behind(one_device):
    """When a record is passed on, the next chunk has already been dispatched."""
    program, runs, chunks = compiled(one_device, chunk=1)
    dispatched, seen = [], []
    run_chunk = program.train[1, 1]
    program.train[1, 1] = lambda *args: dispatched.append(1) or run_chunk(*args)
    train(program, start_blocks(program, runs), chunks, lambda _: seen.append(len(dispatched)))
    assert seen == [2, 3, 4, 4]


def test_given_states_are_donated(one_device):
    program, runs, chunks = compiled(one_device)
    blocks = start_blocks(program, runs)
    after = train(program, blocks, chunks, lambda _: None)
    assert blocks[0].states.params["w"].is_deleted()
    assert not after[0].states.params["w"].is_deleted()


def test_without_steps_left_the_states_are_returned():
    half = contract.run(CASE, 5)
    same = contract.run(CASE, 5, start=5, states=half.states)
    assert len(same.metrics) == 0
    np.testing.assert_array_equal(same.states.params["w"], half.states.params["w"])


def test_an_unknown_axis_is_refused():
    with pytest.raises(UserError, match="'learning'"):
        sweep(toy.TASK, toy.problem().shared, toy.ToyHParams(), 2, 4, axes={"learning": [1.0]})


def test_a_second_sweep_of_a_task_traces_and_compiles_nothing(one_device):
    """As in a notebook, with other seeds and values but the same number of runs."""
    traces = []

    def step(*args):
        traces.append(1)
        return toy.step(*args)

    task, shared = toy.TASK._replace(step=step), toy.problem().shared
    swept = partial(sweep, task, shared, toy.ToyHParams(), devices=one_device)
    first = swept(2, 4, axes={"rate": [1.0, 2.0]})
    assert traces
    traces.clear()
    second = swept([5, 7], 4, axes={"rate": [3.0, 4.0]})
    assert not traces
    np.testing.assert_array_equal(first.states.params["w"], [4, 4, 8, 8])
    np.testing.assert_array_equal(second.states.params["w"], [12, 12, 16, 16])
    swept(2, 6)
    assert traces
