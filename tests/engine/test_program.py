"""Tests of compiled programs: padding, cost, and no communication between devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.engine import program as engine_program
from research.engine.axes import make_runs
from research.engine.blocks import gather_best, gather_states, start_blocks
from research.engine.cadence import Cadence, plan_chunks
from research.engine.loop import train
from research.engine.program import compile_program
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


def test_states_put_on_devices_are_gathered_unchanged():
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


def test_layouts_left_to_the_compiler_change_no_bit(one_device, monkeypatch):
    """As on a TPU: all programs of a group agree on how states lie between them."""

    def init(shared, hparams, key):
        state = toy.init(shared, hparams, key)
        return state._replace(params={**state.params, "ring": jnp.zeros((7, 3))})

    def step(shared, hparams, state, key, t):
        inner, metrics = toy.step(shared, hparams, state, key, t)
        ring = state.params["ring"].at[t % 7].add(inner.draw)
        return inner._replace(params={**inner.params, "ring": ring}), metrics

    problem = toy.problem()._replace(task=toy.TASK._replace(init=init, step=step))
    runs, chunks = make_runs(toy.ToyHParams(), {}, range(5)), plan_chunks(12, Cadence(5, 10, 10))

    def trained():
        program = compile_program(problem, runs, chunks, devices=one_device, keep_best=True)
        nobody = lambda record: None
        began = train(program, start_blocks(program, runs), chunks[:1], nobody)
        halfway = gather_states(program, began), None, gather_best(program, began)
        ended = train(program, start_blocks(program, runs, *halfway), chunks[1:], nobody)
        return program, (gather_states(program, ended), gather_best(program, ended))

    usual, expected = trained()
    monkeypatch.setattr(engine_program, "FREE_LAYOUTS", ("cpu",))
    free, states = trained()
    jax.tree.map(np.testing.assert_array_equal, states, expected)
    assert usual.state_places is usual.sharding
    chosen = {str(leaf.layout) for leaf in jax.tree.leaves(free.state_places)}
    assert len(chosen) > 1  # one for each number of axes
    assert len(free.train) == 2


def test_cached_programs_are_keyed_by_the_settings_of_jax(one_device):
    first, _ = compiled(2, devices=one_device)
    assert compiled(2, devices=one_device)[0].evaluate is first.evaluate
    with jax.default_matmul_precision("highest"):
        assert compiled(2, devices=one_device)[0].evaluate is not first.evaluate


def test_cost_is_per_step_and_run():
    program, _ = sharded()
    assert 1 <= program.cost.flops_per_step < 1000
    assert program.cost.compile_seconds > 0
    assert program.cost.argument_bytes > 0


def test_flops_per_step_do_not_depend_on_runs_and_steps(one_device):
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
