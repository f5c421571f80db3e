"""Tests of the figure of throughput against runs."""

import matplotlib.figure
import pytest

from research.benchmark.figure import draw, run_ticks, throughput_ticks
from tests.benchmark.conftest import timing


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A function that draws a benchmark and returns the figure, as its file shows it."""
    kept = []
    save = matplotlib.figure.Figure.savefig

    def keep(figure, path):
        save(figure, path)
        kept.append(figure)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)

    def run(benchmark):
        path = draw(benchmark, tmp_path / "bench.png")
        assert path.stat().st_size > 5_000
        return kept[-1]

    return run


def test_the_legend_names_the_ceiling_of_each_precision_once(benchmark, drawn):
    (growth,) = benchmark.growths
    growths = [growth, growth._replace(precision="bfloat16"), growth._replace(case="other")]
    figure = drawn(benchmark._replace(growths=growths))
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    ceiling = "ceiling: matrix products alone, at their best rate"
    assert names == ["float32", "bfloat16", f"float32 {ceiling}", f"bfloat16 {ceiling}"]
    assert [line.get_linestyle() for line in legend.legend_handles[2:]] == ["--", "--"]


def test_without_a_count_of_operations_there_is_no_ceiling(benchmark, drawn):
    timings = [timing(runs, 1e3, flops_per_unit=None) for runs in (1, 2)]
    growths = [benchmark.growths[0]._replace(timings=timings)]
    (legend,) = drawn(benchmark._replace(growths=growths)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["float32"]


def test_ticks_are_plain_numbers(benchmark, drawn):
    growth = benchmark.growths[0]
    timings = [timing(2**power, 1e5 * 2**power, flops_per_unit=1e3) for power in range(13)]
    figure = drawn(benchmark._replace(growths=[growth._replace(timings=timings)]))
    (axes,) = figure.axes
    shown = lambda axis: [tick.label1.get_text() for tick in axis.get_major_ticks()]
    assert shown(axes.xaxis) == ["1", "8", "64", "512", "4,096"]
    assert shown(axes.yaxis) == ["100k", "1M", "10M", "100M"]
    assert {text.get_text() for text in axes.get_yticklabels(minor=True)} <= {""}


def test_few_runs_are_all_labelled():
    assert run_ticks(1) == [1]
    assert run_ticks(8) == [1, 2, 4, 8]
    assert run_ticks(64)[-2:] == [32, 64]
    assert run_ticks(128) == [1, 8, 64]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (4e2, 2e6, [1e3, 1e4, 1e5, 1e6]),
        (6e3, 3e4, [1e4, 2e4]),
        (6.1e4, 1.9e5, [5e4, 1e5, 2e5]),  # one round number between: the ends move to the next
        (1.1e3, 1.2e3, [1e3, 2e3]),
    ],
)
def test_every_panel_has_two_labelled_throughputs(low, high, ticks):
    assert throughput_ticks(low, high) == pytest.approx(ticks)
