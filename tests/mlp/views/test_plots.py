"""Tests of figures of predictions: which run is drawn, and with which values."""

import matplotlib.image
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from research.mlp.views import plots
from research.mlp.views.class_curves import PRECISION_RECALL, ROC, class_curves, middle_run
from research.report.statistics import Interval

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 90)
P = RNG.dirichlet(np.ones(3), (5, 90)) + np.linspace(0, 1, 5)[:, None, None] * np.eye(3)[Y]
P /= P.sum(axis=2, keepdims=True)
NAMES = ["a", "b", "c"]


def legend_of(axes):
    """What each entry of a legend says, in order."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.fixture
def axes_of(monkeypatch):
    """A function that draws and returns the axes instead of writing a file."""
    saved = []
    keep = lambda figure, path: saved.append(figure) or path
    monkeypatch.setattr(plots.figures, "save_figure", keep)

    def drawn(draw, *args):
        draw(*args)
        return saved.pop().axes

    return drawn


def test_the_middle_run_has_the_median_score():
    assert middle_run(np.array([0.9, 0.1, 0.5])) == 2
    assert middle_run(np.array([0.9, 0.1, 0.5, 0.7])) == 2


def test_the_roc_of_the_run_with_the_median_area_is_drawn(tmp_path, axes_of):
    (axes,) = axes_of(plots.draw_roc, tmp_path, Y, P, NAMES)
    line = axes.lines[-1]
    assert legend_of(axes)[-1] == "run of median area, mean of the classes"
    area = np.trapezoid(line.get_ydata(), line.get_xdata())
    areas = sorted(roc_auc_score(Y, one, multi_class="ovr") for one in P)
    assert abs(area - areas[2]) < 0.01 < areas[3] - areas[2]
    assert legend_of(axes)[:3] == NAMES


def test_binary_curves_are_of_the_second_class(tmp_path, axes_of):
    y, p = (Y > 0).astype(int), np.stack([P[:, :, 0], 1 - P[:, :, 0]], axis=2)
    (axes,) = axes_of(plots.draw_precision_recall, tmp_path, y, p, ["no", "yes"])
    assert legend_of(axes) == ["95% of 5 runs", "run of median average precision, yes"]
    precision = axes.lines[0].get_ydata()
    np.testing.assert_allclose(precision[-1], y.mean(), atol=0.15)  # at full recall


def test_a_figure_of_a_single_class_says_so(tmp_path, axes_of):
    (axes,) = axes_of(plots.draw_roc, tmp_path, np.zeros(90, int), P[:, :, :2], ["a", "b"])
    assert "all of one class" in axes.get_title()


def test_the_confusion_matrix_shows_the_median_run_and_the_spread(tmp_path, axes_of):
    (axes,) = axes_of(plots.draw_confusion, tmp_path, Y, P, NAMES)
    texts = {t.get_position(): t.get_text().split("\n") for t in axes.texts}
    predicted = P.argmax(axis=2)
    at = middle_run(np.mean(predicted == Y, axis=1))
    for (column, row), (count, *spread) in texts.items():
        cells = np.sum((predicted == column) & (row == Y), axis=1)
        assert int(count) == cells[at]
        assert spread == ([f"{cells.min()}-{cells.max()}"] if np.ptp(cells) else [])


def test_ensembles_are_dots_and_their_mean_a_line(tmp_path, axes_of):
    scores = {"accuracy": [0.1, 0.3, 0.4], "log_loss": [1.0, 3.0, 2.0]}
    axes = axes_of(plots.draw_by_size, tmp_path, [1, 1, 2], scores, "test")
    dots, line = axes[1].lines
    assert dots.get_ydata().tolist() == [1, 3, 2]
    assert line.get_ydata().tolist() == [2, 2]
    assert axes[1].get_ylabel() == "test log loss"


def test_every_figure_is_written(tmp_path):
    line = Interval(np.ones(2), np.zeros(2), np.full(2, 2.0))
    numbers = RNG.normal(size=(4, 30))
    paths = [
        plots.draw_roc(tmp_path / "a.png", Y, P, NAMES),
        plots.draw_confusion(tmp_path / "b.png", Y, P, NAMES),
        plots.draw_predicted(tmp_path / "c.png", numbers[0], numbers, "price"),
        plots.draw_lines(tmp_path / "d.png", [0.0, 1.0], {"one": line}, "x", "y"),
        plots.draw_importance(tmp_path / "e.png", ["f", "g"], {"m": numbers[:, :2]}),
        plots.draw_pixels(tmp_path / "f.png", {"m": RNG.random((4, 5, 5, 3))}),
    ]
    for path in paths:
        assert matplotlib.image.imread(path).std() > 0.01


def area(curves):
    """The area under a drawn curve, exact for steps."""
    return np.trapezoid(curves.middle, curves.x)


def test_a_constant_classifier_has_the_precision_of_chance():
    """With 5% positives, interpolating to recall 0 and precision 1 would give 0.525."""
    y = (np.arange(100) < 5).astype(int)
    found = class_curves(PRECISION_RECALL, y, np.full((1, 100, 2), 0.5), ["no", "yes"])
    assert found is not None
    assert found.area == pytest.approx(0.05)
    np.testing.assert_allclose(found.middle, 0.05)


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("positives", [1, 8, 40])
def test_average_precision_with_ties_equals_scikit_learn(levels, positives):
    """20 or 40 recalls are points of the grid, so that the area under the steps is exact."""
    rng = np.random.default_rng(levels)
    y = (np.arange(160) < positives).astype(int)
    yes = np.round(levels * np.clip(0.3 * y + rng.random(160), 0, 1)) / levels
    found = class_curves(PRECISION_RECALL, y, np.stack([1 - yes, yes], 1)[None], ["no", "yes"])
    assert found is not None
    expected = average_precision_score(y, yes)
    assert found.area == pytest.approx(expected)
    assert area(found) == pytest.approx(expected)


def test_areas_in_figures_equal_those_of_evaluate():
    """The area is that of the mean over classes, for the median run."""
    for curve, score in ((ROC, roc_auc_score), (PRECISION_RECALL, average_precision_score)):
        found = class_curves(curve, Y, P, NAMES)
        assert found is not None
        each = sorted(score(np.eye(3)[Y], one, average="macro") for one in P)
        assert found.area == pytest.approx(each[2])
        assert area(found) == pytest.approx(each[2], abs=0.01)


def test_precision_is_drawn_as_steps(tmp_path, axes_of):
    (axes,) = axes_of(plots.draw_precision_recall, tmp_path, Y, P, NAMES)
    for line in axes.lines:
        moves = np.diff(np.stack([line.get_xdata(), line.get_ydata()]))
        assert not np.any(np.all(moves != 0, axis=0))  # along one axis at a time
