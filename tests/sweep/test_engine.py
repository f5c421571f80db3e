"""The host loop, and the contract on the toy."""

import jax
import numpy as np
import pandas as pd
import pytest

from research.errors import UserError
from research.sweep import Cadence, sweep
from research.sweep.axes import make_runs
from research.sweep.engine import train
from research.sweep.metrics import Diverged
from research.sweep.plan import plan_chunks
from research.sweep.program import compile_program, start_blocks
from tests import contract, toy

CASE = contract.Case(toy.problem(), toy.ToyHParams(), {"rate": [1.0, 2.0]})


def test_a_lane_is_a_lone_run():
    contract.check_a_lane_is_a_lone_run(CASE, steps=10, atol=0)


def test_place_changes_no_bit():
    contract.check_place_changes_no_bit(CASE, steps=10)


def test_ten_steps_are_five_a_file_and_five(tmp_path):
    contract.check_resumes_bit_for_bit(CASE, tmp_path)


def test_chunk_length_changes_no_bit():
    contract.check_chunk_length_changes_no_bit(CASE, 50, (1, 7, 50))


def test_sharded_is_unsharded():
    contract.check_sharded_is_unsharded(CASE, steps=10, atol=0)


def test_traced_once():
    contract.check_traced_once(CASE)


def test_metrics_are_tidy():
    swept = sweep(toy.TASK, toy.problem().shared, toy.ToyHParams(), 2, 4,
                  axes={"rate": [0.1, 0.2]}, cadence=Cadence(2, 4, 4))  # fmt: skip
    table = swept.metrics
    assert list(table.columns[:7]) == ["run", "seed", "rate", "fail_at", "step", "diverged", "work"]
    assert list(table["step"]) == [2] * 4 + [4] * 4
    assert list(table["work"]) == [6] * 4 + [12] * 4
    assert list(table["rate"]) == [0.1, 0.1, 0.2, 0.2] * 2  # as typed, not as float32
    assert table["score"].isna().sum() == 4  # evaluated at the end only
    np.testing.assert_allclose(table["score"][4:], [0.4, 0.4, 0.8, 0.8], rtol=1e-6)


def test_blocks_that_take_turns_give_what_one_block_gives():
    one = contract.run(CASE, 10, seeds=5, most_lanes=10)
    many = contract.run(CASE, 10, seeds=5, most_lanes=3)
    assert one.metrics.equals(many.metrics)


def test_a_diverged_run_is_named_at_its_first_step():
    case = CASE._replace(axes={"fail_at": [-1, 3]})
    cadence = Cadence(1, 10, 2)
    assert contract.run(case, 10, seeds=2, cadence=cadence).diverged == [
        Diverged(run=2, step=3),
        Diverged(run=3, step=3),
    ]


def test_the_status_of_runs_that_are_resumed_is_that_of_runs_that_were_not():
    case = CASE._replace(axes={"fail_at": [-1, 3, 8]})
    cadence = Cadence(1, 10, 5)
    whole, half = contract.run(case, 10, cadence=cadence), contract.run(case, 5, cadence=cadence)
    assert [run for run, _ in half.diverged] == list(range(contract.SEEDS, 2 * contract.SEEDS))
    rest = contract.run(case, 10, cadence=cadence, start=5, states=half.states,
                        diverged=half.diverged)  # fmt: skip
    assert rest.diverged == whole.diverged
    both = pd.concat([half.metrics, rest.metrics], ignore_index=True)
    assert both["diverged"].equals(whole.metrics["diverged"])
    nothing_left = contract.run(case, 5, start=5, states=half.states, diverged=half.diverged)
    assert nothing_left.diverged == half.diverged


def test_resumed_runs_are_not_initialized():
    runs = make_runs(toy.ToyHParams(), {}, [0, 1])
    chunks = plan_chunks(4, Cadence(1, 4, 4))
    program = compile_program(toy.problem(), runs, chunks, resumed=True)
    assert program.init is None
    states = toy.ToyState({"w": np.float32([1, 2])}, np.zeros(2, np.float32))
    (block,) = start_blocks(program, runs, states)[:1]
    fresh = start_blocks(compile_program(toy.problem(), runs, chunks), runs)[0]
    assert jax.tree.map(jax.random.key_data, block.keys)[0].tolist() == (
        jax.tree.map(jax.random.key_data, fresh.keys)[0].tolist()
    )


def test_records_are_fetched_one_chunk_behind():
    """While a record is handed over, the next chunk has already been dispatched."""
    runs = make_runs(toy.ToyHParams(), {}, [0])
    chunks = plan_chunks(4, Cadence(1, 4, 1))
    program = compile_program(toy.problem(), runs, chunks)
    dispatched, seen = [], []
    run_chunk = program.train[1, 1]
    program.train[1, 1] = lambda *args: dispatched.append(1) or run_chunk(*args)
    train(program, start_blocks(program, runs), chunks, lambda _: seen.append(len(dispatched)))
    assert seen == [2, 3, 4, 4]


def test_the_states_given_are_consumed_not_copied():
    runs = make_runs(toy.ToyHParams(), {}, [0])
    chunks = plan_chunks(4, Cadence(1, 4, 4))
    program = compile_program(toy.problem(), runs, chunks)
    blocks = start_blocks(program, runs)
    after = train(program, blocks, chunks, lambda _: None)
    assert blocks[0].states.params["w"].is_deleted()
    assert not after[0].states.params["w"].is_deleted()


def test_no_steps_left_gives_the_states_back():
    half = contract.run(CASE, 4)
    same = contract.run(CASE, 4, start=4, states=half.states)
    assert len(same.metrics) == 0
    np.testing.assert_array_equal(same.states.params["w"], half.states.params["w"])


def test_an_unknown_axis_is_refused():
    with pytest.raises(UserError, match="'learning'"):
        sweep(toy.TASK, toy.problem().shared, toy.ToyHParams(), 2, 4, axes={"learning": [1.0]})


def test_a_second_sweep_of_a_task_traces_and_compiles_nothing():
    """As in a notebook: with other seeds and other values, of as many runs."""
    traces = []

    def step(*args):
        traces.append(1)
        return toy.step(*args)

    task, shared = toy.TASK._replace(step=step), toy.problem().shared
    first = sweep(task, shared, toy.ToyHParams(), 2, 4, axes={"rate": [1.0, 2.0]})
    assert traces
    traces.clear()
    second = sweep(task, shared, toy.ToyHParams(), [5, 7], 4, axes={"rate": [3.0, 4.0]})
    assert not traces
    np.testing.assert_array_equal(first.states.params["w"], [4, 4, 8, 8])
    np.testing.assert_array_equal(second.states.params["w"], [12, 12, 16, 16])
    sweep(task, shared, toy.ToyHParams(), 2, 6)
    assert traces
