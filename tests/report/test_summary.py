"""Tests of the summary of a report, its table and its findings."""

import numpy as np
import pytest

from research.errors import UserError
from research.report.findings import findings
from research.report.problems import problems
from research.report.read import read_run_folder
from research.report.statistics import mean_interval
from research.report.summary import summarize
from research.report.table import full_columns


def scores(means, seeds=8, steps=3, spread=0.01, seed=0):
    noise = np.random.default_rng(seed).normal(0, spread, (len(means), seeds, 1))
    rise = np.linspace(-1, 0, steps)
    return np.asarray(means, float)[:, None, None] + noise + rise


def summary_of(*paths, **given):
    return summarize([read_run_folder(path) for path in paths], **given)


def cells(summary, name):
    return next(column.cells for column in full_columns(summary) if column.name == name)


def test_the_best_comes_first_and_the_others_are_compared_with_it(make_sweep):
    summary = summary_of(make_sweep(scores([1, 2])))
    assert [line.label for line in summary.lines] == ["rate 0.2", "rate 0.1"]
    best, other = summary.lines
    assert best.against_best is None
    assert other.against_best is not None
    assert other.against_best.verdict == "worse"
    assert other.against_best.pairs == 8
    assert cells(summary, "against the best [95%]")[1].endswith("worse")
    assert summary.shown == "test_score"


def test_the_lowest_is_best_where_lower_is_better(make_sweep):
    summary = summary_of(make_sweep(scores([1, 2]), higher_is_better=False))
    assert summary.lines[0].label == "rate 0.1"


def test_the_numbers_are_those_of_the_last_step(make_sweep):
    made = scores([1, 2])
    line = summary_of(make_sweep(made)).lines[0]
    last = made[1, :, -1].astype(np.float32)
    assert line.mean is not None
    assert line.median is not None
    np.testing.assert_allclose(line.mean.estimate, last.mean(), rtol=1e-6)
    np.testing.assert_allclose(line.median.estimate, np.median(last), rtol=1e-6)
    np.testing.assert_allclose(line.iqm.estimate, np.sort(last)[2:6].mean(), rtol=1e-6)


def test_the_optimality_gap_is_the_mean_shortfall(make_sweep):
    groups = [{"first_run": 0, "runs": 16, "goal": 2.0}]
    summary = summary_of(make_sweep(scores([1, 2], spread=0.1), groups=groups))
    best, other = summary.lines
    assert other.gap is not None
    np.testing.assert_allclose(other.gap.estimate, 2 - other.mean.estimate)
    assert best.gap is not None
    assert 0 < best.gap.estimate < 0.1
    assert best.reached is not None
    assert 0 < best.reached < 8
    assert cells(summary, "reached") == [f"{best.reached} of 8", "0 of 8"]


def test_the_selected_setting_is_scored_on_the_test_part_of_other_seeds(make_sweep):
    summary = summary_of(make_sweep(scores([1, 2])))
    (selection,) = summary.selections
    assert selection is not None
    assert selection.chosen == (0, 0)
    assert 1.45 < selection.held_out.estimate < 1.55  # the test part is 0.5 below


def test_diverged_runs_are_counted_and_left_out(make_run):
    summary = summary_of(make_run())
    assert sorted(cells(summary, "seeds")) == ["3 of 4", "4"]
    assert any("1 of 8 runs became non-finite" in said for said in findings(summary))


def test_a_sweep_of_diverged_runs_has_a_table_and_no_score(make_run):
    diverged = [{"diverged": [{"run": run, "step": 1} for run in range(8)]}]
    summary = summary_of(make_run(results=diverged))
    assert set(cells(summary, "mean [95%]")) == {"none finite"}
    assert "in no finite run" in findings(summary)[0]


def test_a_sweep_of_one_seed_says_that_nothing_is_resolved(make_sweep):
    said = " ".join(findings(summary_of(make_sweep(scores([1, 2], seeds=1)))))
    assert "too few seeds" in said
    assert "1 seed." in said


def test_settings_stopped_by_halving_are_not_compared_with_the_best(make_sweep):
    """Three settings have two steps and two of them three. Hyper-parameters are judged at the last
    common step, and the selection is among settings that came to the end."""
    made = scores([1, 3, 2], steps=3)
    path = make_sweep(made, axes={"rate": [0.1, 0.2, 0.3]})
    run = read_run_folder(path)
    stopped = (run.metrics["rate"] == 0.1) & (run.metrics["step"] == 3)
    summary = summarize([run._replace(metrics=run.metrics[~stopped])])
    assert [line.setting.last_step for line in summary.lines] == [3, 3, 2]
    assert summary.lines[2].against_best is None
    assert cells(summary, "steps") == ["3", "3", "2"]
    ((rate,), _) = summary.sensitivity[0]
    assert [level.name for level in rate.levels] == ["0.1", "0.2", "0.3"]
    assert rate.levels[1].iqm.estimate == pytest.approx(2.5, abs=0.1)  # at step 2
    assert any("among 2 settings that came to the end" in said for said in findings(summary))


def test_two_folders_with_equal_scores_do_not_differ(make_sweep):
    made = scores([1, 2])
    summary = summary_of(make_sweep(made, "one"), make_sweep(made, "other"))
    assert [pair.comparison.verdict for pair in summary.pairs] == ["same scores"] * 2
    assert any(
        "other against one" in said and "of 2 settings that both have: 2 same scores" in said
        for said in findings(summary)
    )
    assert [line.label for line in summary.lines][:2] == ["one: rate 0.2", "other: rate 0.2"]


def test_a_folder_better_by_five_percent_is_found_with_64_seeds(make_sweep):
    one = make_sweep(scores([1, 2], 64, spread=0.1), "one")
    other = make_sweep(scores([1.05, 2.1], 64, spread=0.1, seed=1), "other")
    summary = summary_of(one, other)
    assert [pair.comparison.verdict for pair in summary.pairs] == ["better", "better"]
    assert any("2 better; by chance" in said for said in findings(summary))


def test_folders_with_different_key_metrics_are_compared_by_a_common_one(
    make_sweep,
):
    one, other = make_sweep(scores([1, 2]), "one"), make_sweep(
        scores([1, 2]), "other", key_metric="loss", higher_is_better=False
    )  # fmt: skip
    with pytest.raises(UserError, match=r"validation_score .* by loss.* --metric"):
        summary_of(one, other)
    assert summary_of(one, other, metric="loss").lines[0].setting.label == "rate 0.2"
    with pytest.raises(UserError, match="--metric lost"):
        summary_of(one, metric="lost")


def test_findings_say_how_much_hyperparameters_explain(make_sweep):
    axes = {"rate": [0.1, 0.2], "width": ["8x8", "16"]}
    summary = summary_of(make_sweep(scores([1, 2, 3, 4]), axes=axes))
    assert any(
        said.startswith("Of the spread of runs") and "rate" in said and "width" in said
        for said in findings(summary)
    )


def said(summary):
    return " ".join(findings(summary))


def test_findings_call_the_best_distinct_only_if_it_is_resolved(make_sweep):
    axes = {"rate": [0.1, 0.2, 0.3]}
    apart = summary_of(make_sweep(scores([1, 2, 3]), axes=axes))
    assert "differs significantly from all 2 others compared with it" in said(apart)
    close = summary_of(make_sweep(scores([1, 3, 3], seed=1), "close", axes=axes))
    assert "differs significantly from all" not in said(close)
    assert "of 2 others, 1 may be as good or better, and 1 is worse" in said(close)
    assert "no difference" not in said(close)


def test_equal_settings_are_not_resolved(make_sweep):
    axes = {"rate": list(range(8))}
    summary = summary_of(make_sweep(scores([1] * 8, spread=1), axes=axes))
    assert {line.against_best.verdict for line in summary.lines[1:]} == {"not resolved"}
    assert "of 7 others, 7 may be as good" in said(summary)


def test_ties_are_broken_by_goal_then_mean_and_reported(make_sweep):
    """All interquartile means are 5, and nothing orders the last two settings."""
    last = [[5, 5, 5, 4], [9, 5, 5, 4], [5, 5, 5, 5], [5, 5, 5, 4]]
    groups = [{"first_run": 0, "runs": 16, "goal": 5.0}]
    axes = {"rate": [1, 2, 3, 4]}
    path = make_sweep(np.array(last, float)[:, :, None], axes=axes, groups=groups)
    summary = summary_of(path)
    assert [line.label for line in summary.lines] == ["rate 3", "rate 2", "rate 1", "rate 4"]
    assert "3 others have the same interquartile mean" in said(summary)
    assert "by the share of runs that reached the goal and then by the mean" in said(summary)
    assert "arbitrary" not in said(summary)
    alike = np.full((4, 4, 1), 5.0)
    equal = summary_of(make_sweep(alike, "equal", axes=axes))
    assert "Which of it and 3 others comes first is arbitrary" in said(equal)


def test_the_interval_of_the_gap_is_never_negative(make_sweep):
    """With nearly equal shortfalls, a bootstrap-t interval would begin far below 0."""
    short = np.array([[0, 60, 70, 75, 80], [0, 0, 0, 10, 100.0]])
    assert mean_interval(short[0]).low < -50
    groups = [{"first_run": 0, "runs": 10, "goal": 500.0}]
    for line in summary_of(make_sweep(500 - short[:, :, None], groups=groups)).lines:
        assert line.gap is not None
        assert 0 <= line.gap.low <= line.gap.estimate <= line.gap.high


def test_accuracies_have_intervals_between_0_and_1(make_sweep):
    made = np.array([[0.97, 0.99, 1.0], [0.2, 0.99, 1.0]])[:, :, None]
    run = read_run_folder(make_sweep(made))
    run.manifest["key_metric"] = "validation_accuracy"
    names = {"validation_score": "validation_accuracy", "test_score": "test_accuracy"}
    summary = summarize([run._replace(metrics=run.metrics.rename(columns=names))])
    for line in summary.lines:
        assert line.mean is not None
        assert 0 <= line.mean.low <= line.mean.high <= 1
    difference = summary.lines[1].against_best.difference
    assert -1 <= difference.low <= difference.high <= 1


def test_a_setting_with_many_diverged_runs_ranks_last_with_a_note(make_sweep):
    """By its finite runs alone it would be the best."""
    made = scores([9, 2, 3])
    lost = [{"diverged": [{"run": run, "step": 2} for run in (0, 1, 2)]}]
    summary = summary_of(make_sweep(made, axes={"rate": [1, 2, 3]}, results=lost))
    assert [line.label for line in summary.lines] == ["rate 3", "rate 2", "rate 1"]
    assert cells(summary, "against the best [95%]")[2] == "3 diverged"
    assert "1 of which more than a quarter of the runs diverged" in said(summary)
    assert "differs significantly from the other" in said(summary)


def test_a_diverged_run_counts_as_worst_in_comparisons(make_sweep):
    lost = [{"diverged": [{"run": 0, "step": 2}]}]
    summary = summary_of(make_sweep(scores([2, 1]), results=lost))
    (_, other) = summary.lines
    assert other.against_best is not None
    assert other.against_best.pairs == 8  # none is dropped
    assert "such a run counts as the worst" in said(summary)
    assert "over 7 seeds (1 other run diverged)" in said(summary)


def test_pairs_of_folders_include_settings_that_diverged_in_one(make_sweep):
    lost = [{"diverged": [{"run": run, "step": 2} for run in range(8)]}]
    one = make_sweep(scores([1, 2]), "one")
    other = make_sweep(scores([1, 2], seed=1), "other", results=lost)
    summary = summary_of(one, other)
    assert [pair.comparison is None for pair in summary.pairs].count(True) == 1
    assert "of 2 settings that both have" in said(summary)
    assert "1 not compared" in said(summary)


def test_needed_seeds_beyond_the_maximum_are_called_more_than_it(make_sweep):
    made = scores([1, 1], seeds=8, spread=0.5)
    made[1] = made[0][:, :] + 1e-7 * np.arange(8)[::-1, None] * np.array([1, -1] * 4)[:, None]
    text = said(summary_of(make_sweep(made)))
    assert "about more" not in text


def test_one_seed_has_no_interval(make_sweep):
    summary = summary_of(make_sweep(scores([1, 2], seeds=1)))
    assert all("[" not in cell for cell in cells(summary, "mean [95%]"))
    assert cells(summary, "against the best [95%]")[1].endswith("not resolved")


def test_findings_do_not_ask_for_seeds_if_runs_diverged(make_sweep):
    lost = [{"diverged": [{"run": run, "step": 2} for run in (*range(5), *range(8, 13))]}]
    text = said(summary_of(make_sweep(scores([1, 2]), results=lost)))
    assert "too few finite runs" in text
    assert "too few seeds" not in text
    assert "diverged even of the first setting: none is compared" in text


def test_the_correlation_of_pairs_is_reported_only_for_a_single_comparison(make_sweep):
    one = make_sweep(scores([1, 2]), "one")
    several = make_sweep(scores([1, 2], seed=1), "several")
    (sentence,) = (text for text in findings(summary_of(one, several)) if "against one" in text)
    assert "compared seed by seed:" in sentence
    assert "correlation" not in sentence


def test_two_algorithms_are_compared_on_one_environment_and_never_on_two(make_sweep):
    """The algorithm is recorded beside the environment, but what is trained on is the latter."""
    of = lambda algorithm, env: [{"algorithm": algorithm, "environment": env, "file_sha256": env}]
    first = make_sweep(scores([1, 2]), "first", data=of("dqn", "A"))
    second = make_sweep(scores([3, 4]), "second", data=of("pqn", "A"))
    other = make_sweep(scores([9, 9]), "other", data=of("pqn", "B"))
    labels = [line.label for line in summary_of(first, second).lines]
    assert labels == ["second: rate 0.2", "second: rate 0.1", "first: rate 0.2", "first: rate 0.1"]
    assert problems([read_run_folder(path) for path in (first, second, other)]) == ["A", "B"]
