"""Tests of random search, and of the rungs of a halving."""

import dataclasses
import re

import pytest

from research.errors import UserError
from research.runs.search import Halving, Search, check_halving, check_search, draw_settings
from research.task import field


@dataclasses.dataclass(frozen=True)
class HParams:
    learning_rate: float = field(1e-3, "by its logarithm", log=True)
    width: int = field(8, "by its logarithm", log=True)
    momentum: float = field(0.9, "evenly")
    layers: int = field(2, "evenly")
    nesterov: bool = field(False, "a choice")
    kind: str = field("a", "a choice")


def draw(count, seed=0, **axes):
    return draw_settings(HParams(), axes, Search(count, seed))


def column(name, count, values):
    return [setting[name] for setting in draw(count, **{name: values})]


def share_below(values, middle):
    return sum(value < middle for value in values) / len(values)


def test_a_range_of_a_logarithmic_field_is_sampled_log_uniformly():
    rates = column("learning_rate", 1000, (1e-4, 1e-2))
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert 0.45 < share_below(rates, 1e-3) < 0.55
    assert 0.20 < share_below(rates, 10**-3.5) < 0.30


def test_a_range_of_other_fields_is_sampled_uniformly():
    values = column("momentum", 1000, (1e-4, 1e-2))
    assert all(1e-4 <= value <= 1e-2 for value in values)
    assert 0.06 < share_below(values, 1e-3) < 0.12
    assert 0.45 < share_below(values, 0.00505) < 0.55


def test_the_ends_of_a_range_may_be_given_in_any_order():
    assert all(1 <= value <= 2 for value in column("momentum", 50, (2.0, 1.0)))


def test_integer_ranges_give_integers_with_both_ends():
    drawn = draw(100, layers=(1, 4), momentum=(0.0, 1.0))
    assert {setting["layers"] for setting in drawn} == {1, 2, 3, 4}
    assert all(type(setting["layers"]) is int for setting in drawn)


def test_integer_ranges_can_be_logarithmic():
    drawn = [setting["width"] for setting in draw(1000, width=(4, 64), momentum=(0.0, 1.0))]
    assert (min(drawn), max(drawn)) == (4, 64)
    assert all(type(width) is int for width in drawn)
    assert 0.40 < share_below(drawn, 16) < 0.55


def test_more_than_two_values_are_a_choice_even_of_a_logarithm():
    drawn = draw(60, learning_rate=(0.0, 1e-3, 1e-2), momentum=(0.0, 1.0))
    assert {setting["learning_rate"] for setting in drawn} == {0.0, 1e-3, 1e-2}


@pytest.mark.parametrize(
    ("name", "values"), [("nesterov", (False, True)), ("kind", ("a", "b")), ("momentum", (0.5,))]
)
def test_booleans_words_and_single_values_are_choices(name, values):
    drawn = [setting[name] for setting in draw(40, **{name: values}, learning_rate=(1e-3, 1e-1))]
    assert set(drawn) == set(values)
    assert {type(value) for value in drawn} == {type(values[0])}


def test_sampled_numbers_have_few_digits():
    for rate in column("learning_rate", 50, (1e-4, 1e-2)):
        assert rate == float(f"{rate:.3e}")


def test_one_seed_draws_the_same_settings_and_another_seed_others():
    axes = {"learning_rate": (1e-4, 1e-2), "layers": (1, 4)}
    first, again, other = draw(8, **axes), draw(8, **axes), draw(8, seed=1, **axes)
    assert first == again
    assert not any(setting in other for setting in first)


def test_sampled_settings_are_distinct_until_exhausted():
    drawn = draw(8, layers=(1, 4), nesterov=(False, True))
    assert len({tuple(setting.items()) for setting in drawn}) == 8


@pytest.mark.parametrize(
    ("count", "axes", "says"),
    [
        (4, {}, "--search 4: give a range"),
        (4, {"learning_rate": (0.0, 1e-2)}, r"--learning-rate 0.0: drawn by its logarithm"),
        (4, {"learning_rate": (1e-2, -1.0)}, r"--learning-rate -1.0: drawn by its logarithm"),
        (4, {"width": (0, 8)}, "--width 0: drawn by its logarithm"),
        (9, {"layers": (1, 4), "nesterov": (False, True)}, "--search 9: .*makes 8 settings"),
        (10**7, {"nesterov": (False, True)}, "--search 10000000: .*makes 2 settings"),
        (10**7, {"momentum": (0.9, 0.9001)}, "--search 10000000: .*makes 2 settings"),
    ],
)
def test_an_impossible_search_is_refused(count, axes, says):
    with pytest.raises(UserError, match=says):
        draw(count, **axes)


def test_a_search_needs_settings_and_a_seed():
    assert check_search(None, 0) is None
    assert check_search(1, 0) == Search(1, 0)
    assert check_search(32, 7) == Search(32, 7)


@pytest.mark.parametrize(
    ("count", "seed", "says"),
    [
        (0, 0, "--search 0"),
        (2**31, 0, "--search 2147483648: must be at most"),
        (4, -1, "--search-seed -1"),
        (4, 2**32, "--search-seed 4294967296: must be between 0 and"),
    ],
)
def test_invalid_search_numbers_are_named(count, seed, says):
    with pytest.raises(UserError, match=says):
        check_search(count, seed)


@pytest.mark.parametrize(
    ("count", "sampler", "batch", "says"),
    [
        (
            8,
            "tpa",
            None,
            "--sampler tpa: there are random, sobol, tpe, gp, cmaes; did you mean tpe?",
        ),
        (8, "tpe", 0, "--batch 0: give how many settings at once"),
        (8, "tpe", 9, "--batch 9: is more than all settings; --search is 8"),
        (8, "cmaes", 3, "--batch 3: --sampler cmaes needs at least 4 at once"),
        (3, "cmaes", None, "--search 3: --sampler cmaes needs at least 4 at once"),
        (None, "gp", None, "--sampler gp: it goes with a search; give the number of settings with"),
        (None, "random", 4, "--batch 4: it goes with a search"),
    ],
)
def test_invalid_samplers_and_batches_are_named(count, sampler, batch, says):
    with pytest.raises(UserError, match=re.escape(says)):
        check_search(count, 0, sampler, batch)


def test_batches_cover_all_settings_once():
    search = check_search(10, 0, "tpe", 4)
    assert [list(search.places(batch)) for batch in range(search.batches)] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9],
    ]  # fmt: skip
    assert Search(256, 0, "tpe").per_batch == 32
    assert (Search(256).batches, Search(256, 0, "sobol", 4).batches) == (1, 1)


def test_every_rung_is_factor_times_as_long_as_the_one_before():
    assert Halving(3, 4).stops(27, log_every=1) == [1, 3, 9, 27]
    assert Halving(2, 3).stops(1000, log_every=10) == [250, 500, 1000]


@pytest.mark.parametrize("steps", [99, 100, 101, 1234, 5000])
@pytest.mark.parametrize("log_every", [1, 3, 7, 10])
def test_rungs_end_with_whole_logs_near_where_they_should_and_the_last_at_the_end(steps, log_every):
    first, second, last = Halving(2, 3).stops(steps, log_every)
    assert last == steps
    assert first % log_every == second % log_every == 0
    assert abs(first - steps / 4) <= log_every / 2
    assert abs(second - steps / 2) <= log_every / 2


@pytest.mark.parametrize(
    ("halving", "steps", "log_every"),
    [
        (Halving(3, 5), 27, 1),  # the first would be at step 0
        (Halving(3, 4), 27, 3),
        (Halving(2, 3), 25, 10),  # twice at step 10
        (Halving(2, 2), 10, 10),
    ],
)
def test_more_rungs_than_logs_are_refused(halving, steps, log_every):
    with pytest.raises(UserError, match=f"--rungs {halving.rungs}: {steps} steps"):
        halving.stops(steps, log_every)


def test_halving_needs_enough_settings_for_every_rung():
    Halving(3, 3).check_settings(9)
    with pytest.raises(UserError, match="needs at least 9 settings and there are 8"):
        Halving(3, 3).check_settings(8)


def test_halving_is_off_without_a_factor():
    assert check_halving(None, 3) is None
    assert check_halving(2, 2) == Halving(2, 2, asynchronous=False)
    assert check_halving(2, 2, asynchronous=True) == Halving(2, 2, asynchronous=True)


@pytest.mark.parametrize(
    ("factor", "rungs", "says"),
    [
        (1, 3, "--halving 1"),
        (0, 3, "--halving 0"),
        (3, 1, "--rungs 1"),
        (2, 2**63, "--halving 2 --rungs 9223372036854775808: needs more than"),
        (10**30, 3, "--halving 1e30 or so --rungs 3: needs more than"),
    ],
)
def test_invalid_halving_numbers_are_named(factor, rungs, says):
    with pytest.raises(UserError, match=says):
        check_halving(factor, rungs)


def test_settings_differ_as_float32_too():
    """The ends of a range keep all their digits; here both are the same float32."""
    drawn = draw(2, momentum=(1 / 3, 1 / 3 + 1e-12), nesterov=(False, True))
    assert {setting["nesterov"] for setting in drawn} == {False, True}
