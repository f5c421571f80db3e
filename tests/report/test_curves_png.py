"""Tests of the PNG figure of learning curves."""

import numpy as np
import pytest

from research.report import curves_png
from research.report.read import read_run_folder


@pytest.mark.parametrize(("in_work", "label"), [(False, "step"), (True, "examples")])
def test_the_axis_names_what_the_experiment_counts(make_run, monkeypatch, in_work, label):
    seen = []
    monkeypatch.setattr(
        curves_png.Figure,
        "savefig",
        lambda figure, _: seen.append(
            (figure.axes[0].get_xlabel(), figure.axes[0].get_lines()[0].get_xdata()[-1])
        ),
    )
    curves_png.draw_curves(read_run_folder(make_run(in_work=in_work)))
    assert seen == [(label, 15 if in_work else 3)]


def drawn(monkeypatch, run, metric=None):
    """The path of the figure, and the labels of its curves."""
    labels = []
    plot = curves_png.Figure.savefig

    def savefig(figure, path):
        legend = figure.axes[0].get_legend()
        labels.extend(text.get_text() for text in (legend.get_texts() if legend else ()))
        plot(figure, path)

    monkeypatch.setattr(curves_png.Figure, "savefig", savefig)
    return curves_png.draw_curves(run, metric), labels


def test_every_setting_is_drawn_into_the_folder(make_run, monkeypatch):
    run = read_run_folder(make_run())
    path, labels = drawn(monkeypatch, run)
    assert path == run.path / "validation_score.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert labels == ["rate 0.2 (3 seeds, 1 left out)", "rate 0.1 (4 seeds)"]


def test_a_setting_looks_alike_in_all_panels(make_sweep, monkeypatch):
    """In the second environment another one is the best, and comes first."""
    figures = []
    monkeypatch.setattr(curves_png.Figure, "savefig", lambda figure, _: figures.append(figure))
    groups = [
        {"first_run": 8 * place, "runs": 8, "goal": None, "env": name}
        for place, name in enumerate(("One", "Two"))
    ]
    scores = np.array([1.0, 2.0, 2.0, 1.0])[:, None, None] + np.zeros((4, 4, 3))
    axes = {"env": ["One", "Two"], "double": [False, True]}
    run = make_sweep(
        scores, axes=axes, config_axes={"env": axes["env"]}, hparams_axes={"double": [False, True]},
        groups=groups, data=[{"environment": name} for name in axes["env"]],
    )  # fmt: skip
    curves_png.draw_curves(read_run_folder(run))
    looks = []
    for axes in figures[0].axes:
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        looks.append({name: line.get_color() for name, line in zip(names, axes.lines, strict=True)})
    assert list(looks[0]) == list(looks[1])[::-1]
    assert looks[0] == looks[1]
    assert len(set(looks[0].values())) == 2


def test_another_metric_can_be_drawn(make_run, monkeypatch):
    path, labels = drawn(monkeypatch, read_run_folder(make_run()), "loss")
    assert path.name == "loss.png"
    assert len(labels) == 2


def test_only_the_best_of_many_settings_are_drawn(make_run, monkeypatch):
    monkeypatch.setattr(curves_png, "MOST_CURVES", 1)
    run = read_run_folder(make_run())
    assert drawn(monkeypatch, run)[1] == ["rate 0.2 (3 seeds, 1 left out)"]


def test_the_best_settings_are_the_lowest_if_lower_is_better(make_run, monkeypatch):
    monkeypatch.setattr(curves_png, "MOST_CURVES", 1)
    run = read_run_folder(make_run(higher_is_better=False))
    assert drawn(monkeypatch, run)[1] == ["rate 0.1 (4 seeds)"]


def test_the_legend_names_settings_without_a_finite_run(make_run, monkeypatch):
    titles = []
    monkeypatch.setattr(
        curves_png.Figure, "savefig", lambda figure, _: titles.append(figure.axes[0].get_title())
    )
    diverged = [{"diverged": [{"run": run} for run in range(4)]}]
    curves_png.draw_curves(read_run_folder(make_run(results=diverged)))
    assert "1 without a finite run" in titles[0]


def test_a_sweep_without_finite_runs_gives_an_empty_figure(make_run, monkeypatch):
    diverged = [{"diverged": [{"run": run} for run in range(8)]}]
    path, labels = drawn(monkeypatch, read_run_folder(make_run(results=diverged)))
    assert labels == []
    assert path.is_file()
