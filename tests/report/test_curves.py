"""The picture."""

import numpy as np
import pytest

from research.report import curves
from research.report.read import read_run_folder
from research.report.settings import settings


def test_a_curve_has_the_finite_runs_at_the_measured_steps(make_run):
    _, second = settings(read_run_folder(make_run()))
    steps, values = curves.curve(second, "validation_score")
    np.testing.assert_array_equal(steps, [1, 3])
    np.testing.assert_array_equal(values, [[14, 34], [15, 35], [16, 36]])


def test_a_curve_can_run_over_work(make_run):
    first, _ = settings(read_run_folder(make_run()))
    work, _ = curves.curve(first, "validation_score", by="work")
    np.testing.assert_array_equal(work, [5, 15])


@pytest.mark.parametrize(("in_work", "label"), [(False, "step"), (True, "examples")])
def test_the_axis_names_what_the_experiment_counts(make_run, monkeypatch, in_work, label):
    seen = []
    monkeypatch.setattr(
        curves.Figure,
        "savefig",
        lambda figure, _: seen.append(
            (figure.axes[0].get_xlabel(), figure.axes[0].get_lines()[0].get_xdata()[-1])
        ),
    )
    curves.draw_curves(read_run_folder(make_run(in_work=in_work)))
    assert seen == [(label, 15 if in_work else 3)]


def drawn(monkeypatch, run, metric=None):
    """The path of the picture and the labels of its curves."""
    labels = []
    plot = curves.Figure.savefig

    def savefig(figure, path):
        legend = figure.axes[0].get_legend()
        labels.extend(text.get_text() for text in (legend.get_texts() if legend else ()))
        plot(figure, path)

    monkeypatch.setattr(curves.Figure, "savefig", savefig)
    return curves.draw_curves(run, metric), labels


def test_every_setting_is_drawn_into_the_folder(make_run, monkeypatch):
    run = read_run_folder(make_run())
    path, labels = drawn(monkeypatch, run)
    assert path == run.path / "validation_score.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert labels == ["rate 0.1 (4 seeds)", "rate 0.2 (3 seeds, 1 left out)"]


def test_another_metric_can_be_drawn(make_run, monkeypatch):
    path, labels = drawn(monkeypatch, read_run_folder(make_run()), "loss")
    assert path.name == "loss.png"
    assert len(labels) == 2


def test_of_too_many_settings_the_best_are_drawn(make_run, monkeypatch):
    monkeypatch.setattr(curves, "MOST_CURVES", 1)
    run = read_run_folder(make_run())
    assert drawn(monkeypatch, run)[1] == ["rate 0.2 (3 seeds, 1 left out)"]


def test_a_lower_best_is_told_from_a_higher(make_run, monkeypatch):
    monkeypatch.setattr(curves, "MOST_CURVES", 1)
    run = read_run_folder(make_run(higher_is_better=False))
    assert drawn(monkeypatch, run)[1] == ["rate 0.1 (4 seeds)"]


def test_a_setting_without_a_finite_run_is_not_passed_over_in_silence(make_run, monkeypatch):
    titles = []
    monkeypatch.setattr(
        curves.Figure, "savefig", lambda figure, _: titles.append(figure.axes[0].get_title())
    )
    diverged = [{"diverged": [{"run": run} for run in range(4)]}]
    curves.draw_curves(read_run_folder(make_run(results=diverged)))
    assert "1 without a finite run" in titles[0]


def test_nothing_finite_is_an_empty_picture(make_run, monkeypatch):
    diverged = [{"diverged": [{"run": run} for run in range(8)]}]
    path, labels = drawn(monkeypatch, read_run_folder(make_run(results=diverged)))
    assert labels == []
    assert path.is_file()
