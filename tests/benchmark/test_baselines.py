"""Tests of baselines: other libraries that are timed beside a case of the benchmark."""

import os
import sys
from pathlib import Path

import pytest

from research.benchmark import baselines, cases, turns
from research.benchmark.growth import Growth
from research.errors import UserError
from research.runs.session import usable_cores


@pytest.fixture
def digits():
    return cases.mlp_digits("float32")


LOOP = """
import json, sys
print("hello")
print(json.dumps({"units_per_second": float(sys.argv[1]), "updates": 9, "batch": 64,
                  "params": int(sys.argv[2])}))
"""


@pytest.fixture
def loop(tmp_path, monkeypatch):
    """A function that runs a made-up baseline of the digits and returns its rate."""
    (tmp_path / "loop.py").write_text(LOOP)
    monkeypatch.setattr(baselines, "LOOPS", tmp_path)

    def run(case, params, script="loop.py", **changes):
        other = baselines.Baseline("other", "json", (script, "10"), 64)._replace(**changes)
        return baselines.run_baseline(sys.executable, other._replace(after=()), case, 2, params)

    return run


def test_all_processes_of_a_baseline_are_counted(loop, digits):
    assert loop(digits, 9610) == 20


@pytest.mark.parametrize("changes", [{"batch": 32}, {"extra_params": 512}])
def test_a_baseline_that_trains_something_else_is_refused(loop, digits, changes):
    with pytest.raises(UserError, match=r"other trains 9,610 params by batches of 64, and mlp"):
        loop(digits, 9610, **changes)


def test_a_baseline_that_fails_is_named_with_what_it_said(loop, digits):
    with pytest.raises(UserError, match=r"other failed: .*can't open file|No such file"):
        loop(digits, 9610, script="missing.py")


@pytest.mark.slow
def test_scikit_learn_does_the_work_that_it_is_counted_for(digits, tmp_path):
    """Trains in a process of its own for a moment."""
    data = baselines.write_examples(digits, str(tmp_path))
    (found,) = [one for one in baselines.baselines_of(digits, 1, data) if one.package == "sklearn"]
    assert baselines.run_baseline(sys.executable, found, digits, 1, 0.01) > 1_000
    assert baselines.describe_work(found, digits) == "9,610 params, batch 64"


@pytest.mark.slow
def test_our_own_processes_are_timed_as_well(digits):
    """Two processes train at once for a moment."""
    assert baselines.run_ours(digits, 1, 2, 0.01) > 1_000


CORES = """
import json, os
print(json.dumps({"units_per_second": len(os.sched_getaffinity(0)), "updates": 1, "batch": 64,
                  "params": 9610}))
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no processes kept to cores here")
@pytest.mark.skipif(usable_cores() < 2, reason="a core cannot be split")
def test_processes_keep_to_cores_of_their_own(loop, digits, tmp_path):
    (tmp_path / "cores.py").write_text(CORES)
    assert loop(digits, 9610, script="cores.py") == usable_cores()


def test_purejaxrl_trains_its_share_of_the_runs_in_each_process():
    case = cases.dqn_cartpole("float32")
    names = [one.name for one in baselines.baselines_of(case, 1, Path("none"))]
    assert "purejaxrl" not in names
    found, *_ = baselines.baselines_of(case, 1, Path("none"), "checkout", runs=4)
    assert (found.name, found.runs, found.apart) == ("purejaxrl", 4, True)
    assert found.loop == ("purejaxrl_loop.py", "checkout", "4")


@pytest.fixture
def torch_func(digits):
    """A function that returns torch.func beside a number of our runs in each process."""

    def find(runs):
        return next(iter(baselines.baselines_of(digits, 2, Path("data.npz"), runs=runs)))

    return find


def test_torch_func_trains_as_many_nets_as_ours_or_as_many_as_it_is_fastest_with(torch_func):
    least = baselines.LEAST_NETS["mlp-digits"]
    for ours, nets in ((4, least), (8 * least, 8 * least)):
        one = torch_func(ours)
        assert one.name == "torch.func"
        assert one.loop == ("torch_func_loop.py", "data.npz", "64-128-10", "2", str(nets))
        assert one.runs == nets


@pytest.mark.parametrize(
    ("differs", "says"),
    [
        ({"batch": 32}, r"torch\.func trains 9,610 params by batches of 32, and mlp-digits 9,610"),
        ({"params": 32 * 9_610}, r"torch\.func trains 307,520 params .* and mlp-digits 9,610"),
        ({"updates": 0}, r"torch\.func made no update"),
    ],
)
def test_torch_func_is_refused_if_its_net_batch_or_updates_differ(
    torch_func, digits, differs, says
):
    result = {"units_per_second": 1.0, "updates": 9, "batch": 64, "params": 9_610}
    baselines.check_same_work(torch_func(32), digits, [result])
    with pytest.raises(UserError, match=says):
        baselines.check_same_work(torch_func(32), digits, [result, result | differs])


def test_has_package_tells_installed_packages_from_missing_ones():
    assert baselines.has_package(sys.executable, "json")
    assert not baselines.has_package(sys.executable, "no_such_package")


def test_an_installed_wheel_has_no_baselines(case, tmp_path, monkeypatch):
    """A wheel holds the package alone, without `scripts/`."""
    monkeypatch.setattr(turns, "LOOPS", tmp_path / "none")
    said, growth = [], Growth(case.name, case.precision, "rows", [], "runs")
    assert (
        list(turns.measure_baselines(case, growth, None, None, turns.Effort(), said.append)) == []
    )
    assert said == ["product: no baselines without the repository's scripts/compare"]
