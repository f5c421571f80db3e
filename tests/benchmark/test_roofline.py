"""Tests of throughput as a share of the ceilings."""

import pytest

from research.benchmark.ceilings import Ceilings
from research.benchmark.roofline import ceiling_units, share_of_ceiling
from tests.benchmark.conftest import timing

CEILINGS = Ceilings({"float32": 1e10}, 1e8)


def test_shares_use_the_ceiling_of_the_same_precision():
    share = share_of_ceiling(timing(1, 2e3), "float32", CEILINGS)
    assert share.compute == pytest.approx(2e3 * 1e6 / 1e10)
    assert share.bandwidth == pytest.approx(2e3 * 1e3 / 1e8)


def test_the_ceiling_in_units_follows_from_flops_alone():
    assert ceiling_units(timing(1, 1.0), "float32", CEILINGS) == pytest.approx(1e4)
