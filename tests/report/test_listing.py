"""Tests of the listing of run folders."""

import numpy as np
import pytest

from research.errors import UserError
from research.report.listing import find_run_folders, list_run_folder, make_index, sort_listed
from research.report.tools import runs


@pytest.fixture
def folders(make_sweep, tmp_path):
    """A folder with two run folders, one half done, and one that is damaged."""
    scores = np.arange(2 * 4 * 6, dtype=float).reshape(2, 4, 6)
    home = tmp_path / "all"
    home.mkdir()
    for name, changes in {
        "good": {"workload": "dqn", "started": "2026-03-01T10:00:00+00:00"},
        "half": {"status": "stopped", "started": "2026-03-02T10:00:00+00:00"},
    }.items():
        make_sweep(scores, **changes).rename(home / name)
    (home / "bad").mkdir()
    (home / "bad" / "manifest.json").write_text("[]")
    (home / "empty").mkdir()
    (home / "notes.txt").write_text("no run folder")
    return home


def test_every_run_folder_is_listed_with_its_best_setting(folders):
    listed = {path.name: list_run_folder(path) for path in find_run_folders(folders)}
    assert set(listed) == {"good", "half", "bad"}
    good = listed["good"]
    assert (good.workload, good.state, good.finished) == ("dqn", "finished", True)
    assert good.settings == "2 settings of rate x 4 seeds"
    assert "38" in good.score  # the mean of 29, 35, 41, 47, the last step of the second setting
    assert good.merit == 38
    assert not listed["half"].finished
    assert "damaged" in listed["bad"].state
    assert listed["bad"].workload == ""


def test_a_listing_is_sorted_and_filtered(folders, capsys):
    listed = runs.main(runs.Arguments(str(folders)))
    assert [one.path.name for one in listed] == ["half", "good", "bad"]  # the latest first
    listed = runs.main(runs.Arguments(str(folders), sort="name", unfinished=True))
    assert [one.path.name for one in listed] == ["bad", "half"]
    (one,) = runs.main(runs.Arguments(str(folders), workload="dqn"))
    assert one.path.name == "good"
    assert "38 [29, 47]" in capsys.readouterr().out


def test_the_score_of_a_metric_that_should_be_low_is_sorted_lowest_first(make_sweep, tmp_path):
    for name, offset in (("low", 0.0), ("high", 5.0)):
        scores = np.full((1, 3, 2), 1.0) + offset
        made = make_sweep(scores, axes={"rate": [0.1]}, higher_is_better=False)
        made.rename(tmp_path / name)
    listed = [list_run_folder(tmp_path / name) for name in ("high", "low")]
    assert [one.path.name for one in sort_listed(listed, "score")] == ["low", "high"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"folder": "nowhere"}, "no folder nowhere"),
        ({"sort": "size"}, "--sort size: there are name, workload"),
        ({"workload": "lm"}, "--workload lm: .* holds dqn, toy"),
    ],
)
def test_bad_input_is_told_in_a_line(folders, arguments, says):
    with pytest.raises(UserError, match=says):
        runs.main(runs.Arguments(**{"folder": str(folders)} | arguments))


def test_a_folder_without_run_folders_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no run folders"):
        find_run_folders(tmp_path)


def test_the_page_links_reports_and_shows_names_literally(folders):
    strange = folders / "<b>&'"
    (folders / "good").rename(strange)
    (strange / "report.html").write_text("a report")
    (folders / "half" / "report.html").symlink_to(strange / "report.html")  # no way out
    page = make_index([list_run_folder(path) for path in find_run_folders(folders)], folders)
    assert '<a href="&lt;b&gt;&amp;&#x27;/report.html">&lt;b&gt;&amp;&#x27;</a>' in page
    assert "<b>" not in page
    assert page.count("<a ") == 1
    runs.main(runs.Arguments(str(folders), page=True))
    assert (folders / "index.html").read_text().startswith("<!doctype html>")
