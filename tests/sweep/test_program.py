"""Compiled programs: layout, cost, padding, and no communication."""

import jax
import numpy as np
import pytest

from research.errors import UserError
from research.sweep.axes import make_runs
from research.sweep.plan import Cadence, plan_chunks
from research.sweep.program import compile_program, gather_states, metric_names, start_blocks
from tests import toy

CHUNKS = plan_chunks(10, Cadence(5, 10, 10))


def compiled(seeds, **options):
    runs = make_runs(toy.ToyHParams(), {}, range(seeds))
    return compile_program(toy.problem(), runs, CHUNKS, **options), runs


def sharded():
    return compiled(29, devices=jax.local_devices()[:8], most_lanes=2)


def test_padding_lanes_are_never_reported(one_device):
    program, runs = compiled(5, devices=one_device, most_lanes=2)
    assert (program.layout.blocks, program.layout.lanes, program.layout.padding) == (3, 2, 1)
    states = gather_states(program, start_blocks(program, runs))
    others, runs = sharded()
    expected = gather_states(others, start_blocks(others, runs))
    np.testing.assert_array_equal(states.draw, expected.draw[:5])


def test_states_are_put_back_where_they_came_from():
    program, runs = sharded()
    assert (program.layout.blocks, program.layout.lanes, program.layout.padding) == (2, 2, 3)
    states = gather_states(program, start_blocks(program, runs))
    other = states._replace(draw=np.arange(29, dtype=np.float32))
    again = gather_states(program, start_blocks(program, runs, other))
    np.testing.assert_array_equal(again.draw, other.draw)


def test_the_training_program_has_no_collective():
    program, _ = sharded()
    (train,) = program.train.values()
    text = train.as_text()
    assert "while" in text  # the text is the program's
    for collective in ("all-reduce", "all-gather", "collective-permute", "all-to-all"):
        assert collective not in text


def test_a_program_kept_in_memory_is_of_the_settings_of_jax_that_it_was_compiled_under(one_device):
    first, _ = compiled(2, devices=one_device)
    assert compiled(2, devices=one_device)[0].evaluate is first.evaluate
    with jax.default_matmul_precision("highest"):
        assert compiled(2, devices=one_device)[0].evaluate is not first.evaluate


def test_cost_counts_one_step_of_one_run():
    program, _ = sharded()
    assert 1 <= program.cost.flops_per_step < 1000
    assert program.cost.compile_seconds > 0
    assert program.cost.argument_bytes > 0


def test_flops_of_a_matrix_product_are_counted_once_whatever_the_runs_and_steps(one_device):
    def step(shared, hparams, state, key, t):
        del hparams, key, t
        return state, {"loss": (shared["m"] @ shared["m"]).sum()}

    problem = toy.problem()
    task = problem.task._replace(step=step)
    shared = {**problem.shared, "m": np.ones((64, 64), np.float32)}
    problem = problem._replace(task=task, shared=shared)
    runs = make_runs(toy.ToyHParams(), {}, range(7))
    program = compile_program(problem, runs, CHUNKS, devices=one_device)
    assert program.cost.flops_per_step == pytest.approx(2 * 64**3, rel=0.05)


def test_metric_names_are_known_before_anything_compiles():
    runs = make_runs(toy.ToyHParams(), {}, [0])
    step, evaluate = metric_names(toy.problem(), runs)
    assert set(step) == {"loss", "event"}
    assert set(evaluate) == {"score", "noise"}


def test_a_key_metric_that_is_not_evaluated_is_refused():
    problem = toy.problem()
    problem = problem._replace(task=problem.task._replace(key_metric="loss"))
    with pytest.raises(UserError, match="'loss' is not evaluated; there are noise, score"):
        metric_names(problem, make_runs(toy.ToyHParams(), {}, [0]))


def test_a_swept_hyperparameter_that_nothing_uses_is_refused():
    def step(shared, hparams, state, key, t):
        return toy.step(shared, hparams.replace(fail_at=-1), state, key, t)

    problem = toy.problem()
    problem = problem._replace(task=problem.task._replace(step=step))
    metric_names(problem, make_runs(toy.ToyHParams(), {"rate": [1.0, 2.0]}, [0]))
    with pytest.raises(UserError, match="--fail-at: nothing uses it"):
        metric_names(problem, make_runs(toy.ToyHParams(), {"fail_at": [1, 2]}, [0]))


def test_one_used_in_a_single_function_is_used():
    problem = toy.problem()

    def init(shared, hparams, key):
        return toy.init({"start": shared["start"] * hparams.rate}, hparams, key)

    def step(shared, hparams, state, key, t):
        return toy.step(shared, toy.ToyHParams(), state, key, t)

    problem = problem._replace(task=problem.task._replace(init=init, step=step))
    metric_names(problem, make_runs(toy.ToyHParams(), {"rate": [1.0, 2.0]}, [0]))
