"""Tests that runs that stop keep what they had, and that the others go on with fewer lanes."""

import jax
import numpy as np
import pytest

from research.engine import exchange, lanes
from research.engine.axes import make_runs
from research.engine.cadence import Cadence
from research.engine.layout import Layout, fewer_lanes
from research.engine.loop import sweep
from research.engine.one_run import trace_one_run
from research.engine.schedule import Decision, Scheduler
from tests import toy

PLACES = {
    "one device": {"devices": 1},
    "blocks that take turns": {"devices": 1, "most_lanes": 3},
    "devices": {"devices": 4},
    "devices and blocks": {"devices": 4, "most_lanes": 2},
}


WIDTHS = {
    "one device": [4, 2, 1],
    "blocks that take turns": [6, 2, 1],
    "devices": [4],
    "devices and blocks": [8, 4],
}  # lanes in all, after each time that some were dropped


@pytest.mark.parametrize(
    ("layout", "running", "expected"),
    [
        (Layout(1, 18, 1, 18), 9, None),
        (Layout(1, 18, 1, 18), 8, Layout(1, 8, 1, 8)),
        (Layout(1, 16, 1, 16), 5, Layout(1, 8, 1, 5)),
        (Layout(1, 8, 1, 5), 5, None),
        (Layout(1, 8, 1, 5), 1, Layout(1, 1, 1, 1)),
        (Layout(8, 3, 1, 18), 3, Layout(8, 1, 1, 3)),
        (Layout(8, 1, 1, 3), 1, None),
        (Layout(3, 4, 1, 12), 4, Layout(3, 2, 1, 4)),
        (Layout(1, 10, 7, 70), 32, Layout(1, 10, 4, 32)),
        (Layout(1, 10, 4, 32), 32, None),
        (Layout(1, 10, 7, 70), 8, Layout(1, 8, 1, 8)),
    ],
)
def test_lanes_are_dropped_by_halves_at_least(layout, running, expected):
    assert fewer_lanes(layout, running) == expected


def stop_from(ends):
    """A scheduler that stops run i at step `ends[i]`."""
    ends = np.array(ends)

    def decide(seen, key):
        stops = (seen.step >= ends) & ~seen.stopped
        np.testing.assert_array_equal(seen.stopped, seen.step > ends)
        last = seen.step - 2 >= ends  # stopped at an earlier decision, and had no score since
        np.testing.assert_array_equal(np.isnan(seen.scores[-1]), last)
        return Decision(stops, np.arange(len(ends)), seen.hparams, ["x"] * len(ends))

    return Scheduler(decide, lambda step: step % 2 == 0, exchanges=False, changes=False, stops=True)


@pytest.fixture
def layouts(monkeypatch):
    """Those of the programs that a sweep goes on with, as it does."""
    found, started = [], lanes.start_blocks

    def start_blocks(program, *args):
        found.append(program.layout)
        return started(program, *args)

    monkeypatch.setattr(lanes, "start_blocks", start_blocks)
    return found


@pytest.mark.usefixtures("narrow_at_once")
@pytest.mark.parametrize("most_moved", [1, 64])
@pytest.mark.parametrize("where", PLACES)
def test_a_run_that_stops_keeps_its_last_state(monkeypatch, layouts, where, most_moved):
    """Of eleven runs, run i adds i + 1 in every step; a program of each width is compiled once."""
    monkeypatch.setitem(exchange.MOST_MOVED, "cpu", most_moved)
    how = dict(PLACES[where])
    how["devices"] = jax.local_devices()[: how["devices"]]
    ends, told = np.array([2, 20, 4, 4, 6, 6, 8, 2, 10, 2, 2]), []
    found = sweep(
        toy.TASK, toy.problem().shared, toy.ToyHParams(), 1, 12,
        axes={"rate": [float(rate) for rate in range(1, 12)]}, cadence=Cadence(1, 2, 4),
        scheduler=stop_from(ends), **how,
        on_decision=lambda seen, decision: told.extend([seen.step] * sum(decision.stops)),
    )  # fmt: skip
    stopped = np.minimum(ends, 12)
    assert found.states.params["w"].tolist() == (stopped * np.arange(1, 12)).tolist()
    assert told == sorted(ends[ends < 12])
    rows = found.metrics.groupby("run")["step"]
    assert rows.max().tolist() == stopped.tolist()
    assert rows.count().tolist() == stopped.tolist()
    capacities = [layout.width * layout.blocks for layout in layouts]
    assert capacities == WIDTHS[where]


@pytest.mark.parametrize(
    ("least", "last", "expected"), [(4, 12, 4), (8, 12, 8), (8, 16, 8), (15, 12, None)]
)
def test_a_narrower_program_is_compiled_once_it_would_have_saved_enough(
    monkeypatch, layouts, least, last, expected
):
    """Seven of eight lanes are idle from step 2 on, and pay after `least` steps, however many are
    still to come."""
    axes = {"rate": [float(rate) for rate in range(8)]}
    runs = make_runs(toy.ToyHParams(), axes, 1)
    flops = trace_one_run(toy.problem(), runs).flops_per_step
    assert flops > 0
    monkeypatch.setitem(lanes.MIN_SAVED, "cpu", 7 * least * flops)
    narrowed = {}
    sweep(
        toy.TASK, toy.problem().shared, toy.ToyHParams(), 1, last,
        axes=axes, cadence=Cadence(1, 2, 4), devices=jax.local_devices()[:1],
        scheduler=stop_from([2] * 7 + [20]),
        on_decision=lambda seen, _: narrowed.setdefault(len(layouts), seen.step - 2),
    )  # fmt: skip
    assert narrowed.get(1) == expected


def test_blocks_are_dropped_whatever_that_saves(layouts):
    sweep(
        toy.TASK, toy.problem().shared, toy.ToyHParams(), 9, 6, cadence=Cadence(1, 2, 4),
        scheduler=stop_from([2] * 5 + [20] * 4), devices=jax.local_devices()[:1], most_lanes=3,
    )  # fmt: skip
    assert [layout.blocks for layout in layouts] == [2]


def test_all_runs_may_stop():
    found = sweep(
        toy.TASK, toy.problem().shared, toy.ToyHParams(), 3, 12,
        cadence=Cadence(1, 2, 4), scheduler=stop_from([4, 4, 2]),
    )  # fmt: skip
    assert found.metrics.groupby("run")["step"].max().tolist() == [4, 4, 2]
    assert found.states.params["w"].tolist() == [4, 4, 2]


def test_a_run_that_diverged_before_it_stopped_stays_so():
    runs = [-1, 1, 7]
    found = sweep(
        toy.TASK, toy.problem().shared, toy.ToyHParams(), 1, 12,
        axes={"fail_at": runs}, cadence=Cadence(1, 2, 4), scheduler=stop_from([4, 2, 20]),
    )  # fmt: skip
    assert found.diverged == [(1, 1), (2, 7)]
