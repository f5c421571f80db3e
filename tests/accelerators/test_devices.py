"""Devices that are not there: their facts, and what is said without their compiler."""

import pytest

from research.accelerators.devices import NAMES, mesh_of, read_device
from research.errors import UserError
from research.matmul import PRECISIONS


@pytest.mark.parametrize("name", NAMES)
def test_every_device_states_all_facts_and_needs_its_compiler(name):
    device = read_device(name)
    assert set(device.flops_per_second) == set(PRECISIONS)
    assert (device.platform == "cuda") == bool(device.target) == (device.launch_seconds > 0)
    assert (device.platform == "tpu") == (device.cycles_per_second > 0)
    with pytest.raises(UserError, match=rf"{name}: jax .* install jax\[(cuda13|tpu)\]"):
        mesh_of(device)


@pytest.mark.parametrize(
    ("name", "hint"), [("H100", "did you mean h100"), ("abacus", "there are a100, h100")]
)
def test_an_unknown_device_is_refused_with_the_nearest(name, hint):
    with pytest.raises(UserError, match=f"--compile-for {name}: no such device; {hint}"):
        read_device(name, "--compile-for")


def test_the_descriptions_are_text_that_xla_reads():
    """One block of facts for each GPU: unbalanced braces would be refused only by its compiler."""
    for name in NAMES:
        target = read_device(name).target
        assert target.count("{") == target.count("}")
