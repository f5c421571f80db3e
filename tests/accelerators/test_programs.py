"""Every preset and variant compiles for a GPU and a TPU, cases of the benchmark launch no more than
`bounds.json` allows, and no program of a DQN copies its replay ring.

Needs the compilers, jax[cuda13] and jax[tpu], in environments that `scripts/run` sets up, and no
device.
`scripts/test --accelerators --write` rewrites the bounds, and the matrix of what compiles.
"""

import pytest

from tests.accelerators.matrix import BOUNDS, DEVICES
from tests.accelerators.programs import PINNED, all_programs

pytestmark = pytest.mark.accelerators
SLACK = 1.05  # of bytes: which of two equal schedules a compiler takes is no matter


@pytest.mark.parametrize("name", all_programs())
@pytest.mark.parametrize("device", DEVICES)
def test_it_compiles_and_copies_no_replay_ring(device, name, compiled):
    found = compiled(device, name)
    assert "error" not in found, found["error"]
    assert found["whole_rings"] == []


@pytest.mark.parametrize("case", PINNED)
@pytest.mark.parametrize("device", DEVICES)
def test_a_case_of_the_benchmark_launches_no_more_than_before(device, case, compiled, writing):
    if writing:
        pytest.skip("the bounds are being rewritten")
    found, bounds = compiled(device, f"case {case}"), BOUNDS[device][case]
    for count in ("kernels", "copies", "waits", "evaluate_waits"):
        if count in bounds:
            assert found[count] <= bounds[count], count
    assert found["temp_bytes"] <= SLACK * bounds["temp_bytes"]
