"""Tests of the order of settings."""

import pytest

from research.runs.ranking import rank


@pytest.mark.parametrize("higher_is_better", [False, True])
@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (([2.0], 0), ([1.0], 0)),
        (([1.0], 0), ([None], 0)),
        (([None], 0), ([], 1)),
        (([1.0, 1.0], 0), ([9.0], 1)),
        (([9.0], 1), ([], 2)),  # of settings that diverged, the one that did so less often
        (([9.0] * 3, 1), ([1.0] * 4, 0)),  # a quarter may diverge
        (([1.0] * 4, 0), ([9.0] * 2, 2)),
        # The worst half being diverged runs, the middle half is from the lower scores.
        (([7.0] * 8, 0), ([9.0] * 3 + [1.0] * 3, 2)),
    ],
)
def test_settings_are_ordered(better, worse, higher_is_better):
    sign = 1 if higher_is_better else -1

    def place(scores, diverged):
        signed = [score if score is None else sign * score for score in scores]
        return rank(signed, diverged, higher_is_better)

    assert place(*better) < place(*worse)


def test_an_unmeasured_setting_ranks_before_a_diverged_one():
    assert rank([], 0, True) < rank([], 1, True)
    assert rank([1.0], 0, True) < rank([], 0, True)
