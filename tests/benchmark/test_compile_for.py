"""Compiling for a device that is not there: its facts, the bounds, and what fits it."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from research.benchmark import compile_for, devices
from research.benchmark.cases import CASES
from research.benchmark.compile_for import compile_case, predict
from research.benchmark.devices import NAMES, Device, mesh_of, read_device
from research.benchmark.launches import Launches
from research.errors import UserError
from research.matmul import PRECISIONS

SMALL = Device(
    name="small", description="a device", platform="cuda", topology="", memory_bytes=10_000_000,
    bytes_per_second=1e9, flops_per_second={"float32": 1e12}, launch_seconds=1e-6, source="",
    target="",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_device_states_all_facts_and_needs_its_compiler(name):
    device = read_device(name)
    assert set(device.flops_per_second) == set(PRECISIONS)
    assert (device.platform == "cuda") == bool(device.target) == (device.launch_seconds > 0)
    with pytest.raises(UserError, match=rf"--for {name}: jax .* install jax\[(cuda13|tpu)\]"):
        mesh_of(device)


@pytest.mark.parametrize(
    ("name", "hint"), [("H100", "did you mean h100"), ("abacus", "there are a100, h100")]
)
def test_an_unknown_device_is_refused_with_the_nearest(name, hint):
    with pytest.raises(UserError, match=f"--for {name}: no such device; {hint}"):
        read_device(name)


@pytest.mark.parametrize(
    ("kernels", "flops", "moved", "bound", "seconds"),
    [(40, 1e6, 1e3, "launches", 44e-6), (4, 1e9, 1e3, "FLOPs", 1e-3), (4, 1, 1e7, "memory", 1e-2)],
)
def test_the_largest_of_three_bounds_is_predicted(kernels, flops, moved, bound, seconds):
    launches = Launches(kernels * 1_000, 4_000, 0)  # of 1,000 steps
    assert predict(launches, flops, moved, "float32", SMALL) == (bound, pytest.approx(seconds))


def test_a_case_is_compiled_and_as_many_runs_fit_as_the_memory_holds(monkeypatch):
    mesh = Mesh(np.array(jax.devices()[:1]), ("run",))
    monkeypatch.setattr(compile_for, "mesh_of", lambda device: mesh)
    compiled = compile_case(CASES["mlp-small"]("float32"), 4, SMALL)
    assert compiled.kernels >= 1
    assert compiled.peak_bytes > compiled.temp_bytes > 0
    assert compiled.units_per_second > 0
    assert compiled.most_runs >= 4
    exact = compile_case(
        CASES["mlp-small"]("float32"), 4, SMALL._replace(memory_bytes=compiled.peak_bytes)
    )
    assert exact.most_runs == 4


def test_the_descriptions_are_text_that_xla_reads():
    """One block of facts for each GPU: unbalanced braces would be refused only by its compiler."""
    for name in devices.NAMES:
        target = read_device(name).target
        assert target.count("{") == target.count("}")
