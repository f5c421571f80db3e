"""Tests of profiling: the time of each kernel, and sums over kinds of kernels."""

import pytest

from research.benchmark import kernels, profiling, tables
from research.benchmark.profiling import Event, own_time, profile_case


def test_the_time_of_a_loop_excludes_that_of_its_body():
    loop, after = Event("loop", 0, 100), Event("after", 100, 130)
    first, inner, second = Event("body", 10, 40), Event("inner", 15, 20), Event("body", 50, 70)
    spent = own_time([after, first, inner, loop, second])
    own = [(event.name, nanoseconds) for event, nanoseconds in spent]
    assert sorted(own) == sorted(
        [("inner", 5), ("body", 25), ("body", 20), ("loop", 50), ("after", 30)]
    )
    assert sum(nanoseconds for _, nanoseconds in own) == 130


@pytest.fixture
def profile(case, monkeypatch):
    monkeypatch.setattr(profiling, "SECONDS", 1e-3)
    return profile_case(case, 3)


def test_the_matrix_product_of_the_task_is_profiled(profile):
    assert (profile.case, profile.runs) == ("product", 3)
    assert profile.steps >= 4
    products = [one for one in profile.spent if one.kernel.kind == kernels.MATRIX_PRODUCTS]
    assert sum(one.calls for one in products) >= profile.steps
    assert products[0].kernel.source.endswith("dot_general")
    by_kind = profile.by_kind()
    assert sum(by_kind.values()) == pytest.approx(sum(one.seconds for one in profile.spent))
    assert 0 <= profile.idle <= profile.devices * profile.seconds


def test_its_tables_add_up(profile):
    shares, longest = tables.profile_tables(profile)
    total = sum(float(share.rstrip("%")) for _, share, _ in shares.rows)
    assert total == pytest.approx(100, abs=1)
    assert "product, float32, 3 runs" in shares.title
    assert 1 <= len(longest.rows) <= tables.LONGEST
