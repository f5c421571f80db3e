"""Shares of the ceiling."""

import pytest

from research.benchmark.ceilings import Ceilings
from research.benchmark.roofline import ceiling_units, share_of_ceiling
from tests.benchmark.conftest import timing

CEILINGS = Ceilings({"float32": 1e10}, 1e8)


def test_a_share_is_of_the_ceiling_in_that_precision():
    share = share_of_ceiling(timing(1, 2e3), "float32", CEILINGS)
    assert share.compute == pytest.approx(2e3 * 1e6 / 1e10)
    assert share.bandwidth == pytest.approx(2e3 * 1e3 / 1e8)


def test_the_ceiling_in_units_is_what_products_alone_would_take():
    assert ceiling_units(timing(1, 1.0), "float32", CEILINGS) == pytest.approx(1e4)
