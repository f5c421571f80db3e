"""Tests of following a run folder while its sweep trains."""

import numpy as np
import pytest

from research.errors import UserError
from research.report.follower import Follower
from tests.report.tracked import NAN, GrowingFolder


class Collected:
    """A sink that keeps what was written in memory, by (setting, step)."""

    def __init__(self):
        self.points, self.settings = {}, {}

    def last_step(self, setting):
        return max((step for number, step in self.points if number == setting), default=0)

    def write(self, setting, summary):
        self.settings[setting.number] = setting
        for index, step in enumerate(summary.steps):
            assert step > self.last_step(setting.number)
            values = {tag: column[index] for tag, column in summary.values.items()}
            self.points[setting.number, int(step)] = values | {"shown": summary.shown[index]}

    def save(self):
        pass


@pytest.fixture
def folder(tmp_path):
    return GrowingFolder(tmp_path)


def follow(folder, *sinks):
    sink = sinks or (Collected(),)
    follower = Follower(folder.path, sink)
    follower.update()
    return follower, sink[0]


def middle_mean(values):
    """The interquartile mean, computed independently."""
    cut = len(values) // 4
    return np.mean(sorted(values.astype(np.float64))[cut : len(values) - cut])


def test_summaries_equal_statistics_of_the_metrics(folder):
    folder.append("0-000000", range(10), range(1, 9))
    _, sink = follow(folder)
    assert sink.points.keys() == {(setting, step) for setting in (0, 1) for step in range(1, 9)}
    for (setting, step), values in sink.points.items():
        loss = folder.loss[setting * 5 : setting * 5 + 5, step - 1]
        assert values["loss/iqm"] == pytest.approx(middle_mean(loss), rel=1e-12)
        assert values["loss/least"] == loss.min()
        assert values["loss/most"] == loss.max()
        assert values["left_out"] == 0
        assert values["shown"] == step
        measured = step % 2 == 0
        assert values["score/iqm"] == pytest.approx(
            middle_mean(2 * loss) if measured else NAN, nan_ok=True
        )
        assert np.isfinite(values["score/least"]) == measured


def test_a_setting_is_described_by_its_swept_values_and_all_others(folder):
    folder.append("0-000000", range(10), [1])
    _, sink = follow(folder)
    assert [sink.settings[n].label for n in (0, 1)] == ["rate 0.1", "rate 0.2"]
    assert sink.settings[1].config == {
        "hidden": [8, 4], "data": "digits", "none": None, "rate": 0.2, "seeds": 5
    }  # fmt: skip


def test_a_step_is_written_only_when_all_runs_have_reached_it(folder):
    folder.append("0-000000", range(7), [1, 2])
    follower, sink = follow(folder)
    assert sink.points.keys() == {(0, 1), (0, 2)}
    folder.append("0-000007", range(7, 10), [1])
    follower.update()
    assert sink.points.keys() == {(0, 1), (0, 2), (1, 1)}
    loss = folder.loss[5:10, 0]
    assert sink.points[1, 1]["loss/iqm"] == pytest.approx(middle_mean(loss), rel=1e-12)


def test_a_diverged_run_is_left_out_and_not_waited_for(folder):
    folder.loss[1, 2:] = NAN
    folder.bad_from[1:3] = 3, 5  # the loss of run 2 is finite, which does not count
    folder.append("0-000000", [0, 2, 3, 4], range(1, 9))
    folder.append("0-000001", [1], range(1, 6))
    _, sink = follow(folder)
    assert [sink.points[0, step]["left_out"] for step in range(1, 9)] == [0, 0, 1, 1, 2, 2, 2, 2]
    kept = {2: [0, 1, 2, 3, 4], 3: [0, 2, 3, 4], 8: [0, 3, 4]}
    for step, runs in kept.items():
        loss, values = folder.loss[runs, step - 1], sink.points[0, step]
        assert values["loss/iqm"] == pytest.approx(middle_mean(loss), rel=1e-12)
        assert (values["loss/least"], values["loss/most"]) == (loss.min(), loss.max())


def test_a_setting_without_finite_runs_writes_only_its_counts(folder):
    folder.bad_from[:5] = 2
    folder.append("0-000000", range(5), [1, 2])
    _, sink = follow(folder)
    assert sink.points[0, 2]["left_out"] == 5
    assert np.isnan(sink.points[0, 2]["loss/iqm"])


def test_summaries_do_not_depend_on_when_the_folder_is_read(folder):
    folder.bad_from[6] = 4
    follower, often = follow(folder)
    for steps in ([1, 2], [3], [4, 5, 6], [7, 8]):
        folder.append("0-000000", range(3), steps)
        follower.update()
        folder.append("0-000003", range(3, 10), steps)
        follower.update()
    _, once = follow(folder)
    assert often.points.keys() == once.points.keys()
    for key, values in once.points.items():
        np.testing.assert_equal(often.points[key], values)


def test_rewritten_metrics_files_do_not_change_summaries(folder):
    folder.append("0-000000", range(10), [1, 2])
    folder.append("0-000000", range(10), [3, 4])
    follower, sink = follow(folder)
    before = dict(sink.points)
    folder.append("0-000000", range(10), [3, 4, 5, 6], number=1)
    assert follower.has_news()
    follower.update()
    assert not follower.has_news()
    assert {key: sink.points[key] for key in before} == before
    assert [step for setting, step in sink.points if setting == 0] == [1, 2, 3, 4, 5, 6]


def test_each_sink_gets_the_steps_that_it_lacks(folder):
    folder.append("0-000000", range(10), [1, 2])
    _, first = follow(folder)
    folder.append("0-000000", range(10), [3])
    _, _ = follow(folder, first, second := Collected())
    assert first.points.keys() == second.points.keys()


def test_a_metrics_file_is_read_after_its_predecessor(folder):
    folder.append("0-000000", range(10), [3, 4], number=1)
    follower, sink = follow(folder)
    assert not sink.points
    folder.append("0-000000", range(10), [1, 2], number=0)
    follower.update()
    assert (1, 4) in sink.points


def test_a_file_that_disappears_is_read_when_it_is_back(folder, monkeypatch):
    folder.append("0-000000", range(10), [1])
    with monkeypatch.context() as patch:
        patch.setattr("research.report.follower.pq.ParquetFile", _gone)
        follower, sink = follow(folder)
    assert not sink.points
    follower.update()
    assert (0, 1) in sink.points


def _gone(path):
    raise FileNotFoundError(path)


def test_steps_are_counted_in_work_if_intervals_are(tmp_path):
    folder = GrowingFolder(tmp_path, in_work=True)
    folder.append("0-000000", range(10), [1, 2])
    _, sink = follow(folder)
    assert [values["shown"] for values in sink.points.values()] == [100, 200, 100, 200]


def test_without_axes_there_is_one_setting(tmp_path):
    folder = GrowingFolder(tmp_path, rates=(0.1,), hparams_axes={})
    folder.append("0-000000", range(5), [1])
    _, sink = follow(folder)
    assert sink.settings[0].label == "all"


def test_a_path_that_is_no_run_folder_is_named_in_the_error(tmp_path):
    with pytest.raises(UserError, match="nothing is no run folder"):
        Follower(tmp_path / "nothing", [Collected()])
