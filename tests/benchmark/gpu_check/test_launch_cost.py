"""Tests of the fitted cost of a launch, and of predictions beside what was measured."""

import pytest

from research.benchmark.gpu_check import command_buffers, launch_cost
from research.benchmark.gpu_check.launch_cost import compare, device_like, fit_launch_seconds
from research.benchmark.gpu_check.plan import CheckPlan, Clock
from research.benchmark.gpu_check.results import CheckResults
from tests.benchmark.gpu_check.conftest import MACHINE

H100 = "NVIDIA H100 80GB HBM3"


def timing(case, launches, seconds, runs=64, flops=1e6, **changes):
    row = {
        "case": case, "precision": "float32", "runs": runs, "what": "training",
        "kernels": 0.9 * launches, "copies": 0.1 * launches, "waits": 0,
        "seconds_per_step": seconds, "flops_per_step": flops, "bytes_per_step": 1e3,
    }  # fmt: skip
    return row | changes


LAUNCHED = [timing("mlp", 30, 90e-6), timing("lstm", 2_000, 6e-3)]  # 3 us a launch
COMPUTED = timing("wide", 30, 1.2, flops=1e14)
EVALUATION = {"what": "evaluation", "case": "mlp", "runs": 64}


def test_the_fit_is_what_all_steps_agree_on():
    assert fit_launch_seconds(LAUNCHED) == pytest.approx(3e-6)
    slow = timing("slow", 1_000, 30e-3)  # 30 us a launch: something else takes the time
    assert 3e-6 < fit_launch_seconds([*LAUNCHED, slow]) < 10e-6


def test_steps_that_compute_are_left_out_of_the_fit_and_predicted_by_flops(tmp_path):
    check = CheckResults(tmp_path, CheckPlan(), Clock(60), MACHINE)
    earlier = check.begin("throughput", "Throughput", 1.0, lambda results: [])
    earlier.results = [*LAUNCHED, COMPUTED, EVALUATION]
    part = check.begin("launch_cost", "Launch cost", 1.0, launch_cost.describe)
    part.run(launch_cost.measure)
    fit, mlp, lstm, wide = part.results
    assert fit["launch_seconds"] == pytest.approx(3e-6)
    assert (fit["fitted_to"], fit["known_device"]) == (2, "h100")
    assert mlp["measured_over_predicted"] == pytest.approx(1, rel=1e-3)
    assert lstm["predicted_before"] == pytest.approx(2_000 * fit["assumed_launch_seconds"])
    assert wide["bound"] == "FLOPs"
    assert wide["predicted"] == pytest.approx(1e14 / 494.7e12)
    lines = list(part.lines())
    assert lines[1] == "a launch costs 3.00 us, fitted to 2 timings"
    assert "mlp, float32, 64 runs: 30.0 launches a step, measured 90.0 us" in lines[2]


def test_an_unknown_device_is_predicted_by_its_launches():
    row = compare(LAUNCHED[0], 2e-6, None)
    assert (row["bound"], row["predicted_before"]) == ("launches", None)
    assert row["measured_over_predicted"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(H100, "h100"), ("NVIDIA H100 PCIe", "h100"), ("NVIDIA A100-SXM4-40GB", "a100"),
     ("NVIDIA L4", None), ("cpu", None)],
)  # fmt: skip
def test_a_device_is_known_by_what_jax_calls_it(kind, name):
    device = device_like(kind)
    assert (device and device.name) == name


def test_variants_are_told_beside_the_default():
    rates = {"as they are": 100.0, "+WHILE": 150.0, "none": 50.0}
    found = [
        {"variant": name, "case": "mlp", "units_per_second": rate} for name, rate in rates.items()
    ]
    assert command_buffers.describe(found) == [
        "as they are: mlp 1.00x", "+WHILE: mlp 1.50x", "none: mlp 0.50x",
    ]  # fmt: skip
