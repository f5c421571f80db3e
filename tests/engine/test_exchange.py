"""Tests that runs take over the states of others, wherever these are."""

import jax
import numpy as np
import pytest

from research.engine import exchange
from research.engine.axes import make_runs
from research.engine.blocks import gather_states, start_blocks
from research.engine.cadence import Cadence, plan_chunks
from research.engine.exchange import take_over, with_hparams
from research.engine.loop import train
from research.engine.program import compile_program
from tests import toy

RATES = [float(rate) for rate in range(1, 11)]
CHUNKS = plan_chunks(4, Cadence(2, 4, 4))
PLACES = {
    "one device": {"devices": 1},
    "blocks that take turns": {"devices": 1, "most_lanes": 3},
    "devices": {"devices": 4},
    "devices and blocks": {"devices": 4, "most_lanes": 2},
}


@pytest.fixture(params=PLACES)
def trained(request):
    """Ten runs after four steps, and their program. Run i has (i + 1) x 4."""
    how = dict(PLACES[request.param])
    how["devices"] = jax.local_devices()[: how["devices"]]
    runs = make_runs(toy.ToyHParams(), {"rate": RATES, "fail_at": [-1]}, 1)
    runs.hparams.fail_at[7] = 2
    program = compile_program(toy.problem(), runs, CHUNKS, exchanges=True, **how)
    blocks = train(program, start_blocks(program, runs), CHUNKS, lambda record: None)
    return program, blocks, runs


def weights(program, blocks):
    return (gather_states(program, blocks).params["w"] / 4).tolist()


def test_every_run_has_the_state_of_its_parent_from_before(trained):
    """Runs 0 and 9 trade places, 1 takes over from 0, and 2 and 3 from one parent."""
    program, blocks, _ = trained
    parents = np.array([9, 0, 5, 5, 4, 5, 6, 7, 8, 0])
    blocks = take_over(program, blocks, parents)
    assert weights(program, blocks) == [10, 1, 6, 6, 5, 6, 7, 8, 9, 1]


def test_more_lanes_than_one_call_moves(trained, monkeypatch):
    monkeypatch.setitem(exchange.MOST_MOVED, "cpu", 2)
    program, _, runs = trained
    how = {"devices": program.devices, "most_lanes": program.layout.lanes}
    program = compile_program(toy.problem(), runs, CHUNKS, exchanges=True, **how)
    blocks = train(program, start_blocks(program, runs), CHUNKS, lambda record: None)
    blocks = take_over(program, blocks, np.roll(np.arange(10), 1))
    assert weights(program, blocks) == [10, *range(1, 10)]


def test_a_run_that_had_diverged_is_finite_with_the_state_of_another(trained):
    program, blocks, _ = trained
    records = []
    parents = np.array([0, 1, 2, 3, 7, 5, 6, 4, 8, 9])
    blocks = take_over(program, blocks, parents)
    train(program, blocks, [chunk._replace(start=4) for chunk in CHUNKS], records.append)
    never = np.iinfo(np.int32).max
    assert records[-1].diverged.tolist() == [never] * 4 + [2] + [never] * 5


def test_the_training_program_has_no_collective(trained):
    """Devices exchange states between its calls alone."""
    program, _, _ = trained
    for compiled in program.train.values():
        text = compiled.as_text()
        assert "fusion" in text or "while" in text
        for collective in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
            assert collective not in text


def test_other_hyper_parameters_count_from_the_next_step(trained):
    program, blocks, runs = trained
    blocks = with_hparams(program, blocks, runs.hparams.replace(rate=runs.hparams.rate[::-1]))
    blocks = train(program, blocks, CHUNKS, lambda record: None)
    assert weights(program, blocks) == [11] * 10
