"""Tests that a population counts as one run: the history of its best member."""

import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from research.errors import UserError
from research.report.one_run import best_runs, one_run
from research.report.page.schedules import schedule_charts
from research.report.population import best_member, best_paths
from research.report.read import read_run_folder
from research.report.schedules import schedules
from research.report.schedules_png import draw_schedules
from research.report.settings import final_values, settings
from research.report.summary import summarize
from research.report.tools.show import show_run
from research.runs.lineage import Segment, lineage
from research.runs.opening import RunOptions
from research.runs.runner import run_experiment
from research.runs.schedulers.population import Population
from tests import quadratic

MANIFEST = {
    "key_metric": "score", "higher_is_better": True, "hparams_axes": {"rate": [0.1, 1.0]},
    "config_axes": {}, "seeds": [7, 8], "groups": [{"first_run": 0, "runs": 6}],
}  # fmt: skip
# Three members of two seeds. Run 4 took over from 0 at step 2; then 0 from 4, and 2 from 0, at 4.
DECISIONS = pd.DataFrame(
    {"step": [2, 4, 4], "run": [4, 0, 2], "parent": [0, 4, 0], "rate": [0.5, 0.6, 0.7]}
)


def table():
    rows = [
        {"run": run, "seed": 7 + run % 2, "rate": 0.1 * (run + 1), "step": step, "work": 10 * step,
         "loss": 100.0 * run + step, "score": run + 10.0 * step if step % 2 == 0 else None,
         "diverged": None}
        for run in range(6) for step in range(1, 7)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_lineage_leads_back_to_the_beginning():
    values = [
        Segment(0, 0, 2, None),
        Segment(4, 2, 4, {"rate": 0.5}),
        Segment(0, 4, 6, {"rate": 0.6}),
    ]
    assert lineage(DECISIONS, 0, 6, ["rate"]) == values
    assert lineage(DECISIONS, 0, 4, ["rate"]) == [Segment(0, 0, 4, None)]
    assert [one.run for one in lineage(DECISIONS, 2, 6, ["rate"])] == [0, 2]
    assert lineage(DECISIONS, 4, 6, ["rate"]) == [values[0], Segment(4, 2, 6, {"rate": 0.5})]
    assert lineage(DECISIONS, 5, 6, ["rate"], start=1) == [Segment(5, 1, 6, None)]


def test_the_metrics_of_a_population_are_those_that_trained_its_best_member():
    """Of seed 7 run 4 is the best at the end, of seed 8 run 5, which never took over."""
    paths = best_paths(table(), DECISIONS, MANIFEST)
    first = paths[paths["seed"] == 7]
    assert first["run"].tolist() == [4] * 6
    assert first["loss"].tolist() == [1.0, 2.0, 403.0, 404.0, 405.0, 406.0]
    np.testing.assert_allclose(first["rate"], [0.1, 0.1, 0.5, 0.5, 0.5, 0.5])
    assert first["population"].tolist() == [3] * 6
    second = paths[paths["seed"] == 8]
    assert second["loss"].tolist() == [501.0, 502.0, 503.0, 504.0, 505.0, 506.0]


@pytest.mark.parametrize(("higher", "best"), [(True, 5), (False, 1)])
def test_the_best_member_is_finite_and_was_measured_last(higher, best):
    rows = table()
    rows = rows[rows["seed"] == 8]
    manifest = MANIFEST | {"higher_is_better": higher}
    assert best_member(rows, DECISIONS, manifest) == best
    rows.loc[rows["run"] == best, "diverged"] = 3
    assert best_member(rows, DECISIONS, manifest) == 3
    assert best_member(rows.assign(score=None), DECISIONS, manifest) == 1


@pytest.mark.parametrize(("higher", "best"), [(True, 4), (False, 0)])
def test_of_equal_members_the_one_whose_history_scored_best_is_the_best(higher, best):
    """Runs 0, 2 and 4 are equal at the end; 4 took over from 0 at step 2, and was good after it."""
    rows = table()
    rows = rows[rows["seed"] == 7]
    rows.loc[rows["step"] == 6, "score"] = 50.0
    rows.loc[(rows["run"] == 4) & (rows["step"] == 4), "score"] = 90.0
    manifest = MANIFEST | {"higher_is_better": higher}
    assert best_member(rows, DECISIONS[:1], manifest) == best


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of three populations of six members."""
    path = tmp_path_factory.mktemp("report")
    population = Population(ready_every=10, fraction=0.34)
    run_experiment(quadratic.experiment(population=population), RunOptions(str(path), "it"))
    return path / "it"


def test_a_folder_of_populations_is_one_setting_with_a_run_for_each_seed(folder):
    data = read_run_folder(folder)
    (setting,) = settings(data)
    assert setting.label == "population 6"
    assert setting.seeds == 3
    assert data.members is not None
    last = data.members[data.members["step"] == 40]
    np.testing.assert_array_equal(
        np.sort(final_values(setting, "score")), np.sort(last.groupby("seed")["score"].max())
    )
    assert [line.label for line in summarize([data]).lines] == ["population 6"]


def test_the_best_run_and_any_other_have_the_values_that_they_have_now(folder):
    data = read_run_folder(folder)
    (best,) = best_runs(data)
    assert data.members is not None
    assert data.decisions is not None
    assert best.score == data.members[data.members["step"] == 40]["score"].max()
    row = data.decisions.iloc[-1]
    moved = one_run(data, int(row["run"]))
    assert (moved.hparams["which"], moved.hparams["rate"]) == (row["which"], row["rate"])
    assert moved.hparams["rate"] != data.members.set_index("run")["rate"][int(row["run"])].iloc[0]


def test_schedules_have_a_line_for_each_member_and_the_history_of_the_best(folder):
    data = read_run_folder(folder)
    score, which, rate = schedules(data, 0)
    assert (score.name, which.name, rate.name) == ("score", "which", "rate")
    assert [len(one.members) for one in (score, rate)] == [18, 18]
    assert data.decisions is not None
    one = data.decisions.iloc[0]
    path = rate.members[int(one["run"])]
    assert path.values[path.at > one["step"]][0] == one["rate"]
    assert path.values[path.at <= one["step"]].tolist() == [path.values[0]] * int(one["step"])
    assert len(rate.best) == 3
    assert all(len(path.at) == 40 for path in rate.best)
    assert any(len(path.taken) for path in rate.best)


def test_it_is_shown_in_table_figure_and_page(folder, capsys):
    show_run(folder)
    text = " ".join(capsys.readouterr().out.split())
    assert "Population-based training: 18 members took over from another" in text
    assert "schedules of hyper-parameters:" in text
    data = read_run_folder(folder)
    assert draw_schedules(data).read_bytes().startswith(b"\x89PNG")
    (chart,) = schedule_charts(summarize([data]), 0)
    assert [variant.name for variant in chart.variants] == ["which", "rate", "score"]
    assert [len(variant.traces) for variant in chart.variants] == [4, 4, 4]
    assert chart.title == "Schedules that populations of 6 found"


@pytest.mark.parametrize(
    ("column", "value", "line"),
    [
        ("run", 18, "column run has a run that there is not"),
        ("parent", 99, "column parent has a run that there is not"),
        ("parent", "next", "a run takes over from one of another population"),
        ("step", 0, "a decision has no run or no step"),
        ("rate", float("nan"), "column rate lacks a value"),
        ("rate", None, "column rate is missing"),
        ("why", 3, "column why holds int64"),
    ],
)
def test_damaged_decisions_are_told_in_a_line(folder, tmp_path, column, value, line):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for path in (copy / "decisions").iterdir():
        rows = pq.read_table(path).to_pandas()
        if value is None:
            rows = rows.drop(columns=column)
        elif value == "next":
            rows[column] = (rows[column] + 1) % 18
        elif column == "why":
            rows[column] = value
        else:
            rows.loc[0, column] = value
        rows.to_parquet(path)
    with pytest.raises(UserError, match=f"decisions is damaged: {line}"):
        read_run_folder(copy)
