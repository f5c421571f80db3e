"""Predictions, from the command line to the files: what was compiled, and that it was not run."""

import json

import pytest

from research.accelerators.devices import read_device
from research.benchmark import bench, compile_for
from research.benchmark.compile_for import NO_FIT, CompiledCase
from research.benchmark.predicted import draw_predicted
from research.benchmark.tables import compiled_table

ONE = CompiledCase(
    device="h100", case="mlp-digits", precision="float32", runs=8, unit="examples", seconds=3.0,
    kernels=28.1, copies=0.5, waits=0, cycles=0.0, temp_bytes=10**6, peak_bytes=10**7,
    most_runs=800, bound="launches", units_per_second=7.1e6,
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """What is asked of the other environment, which answers at once."""
    asked = []

    def compile_elsewhere(names, precisions, runs, device):
        asked.append((device.name, names, precisions, runs))
        for precision in precisions:
            for count in runs:
                yield ONE._replace(
                    device=device.name, precision=precision, runs=count,
                    units_per_second=1e6 * count,
                )  # fmt: skip

    monkeypatch.setattr(compile_for, "compile_elsewhere", compile_elsewhere)
    return asked


def test_every_device_precision_and_number_of_runs_is_kept_and_drawn(asked, tmp_path, capsys):
    words = "--for h100 v5e --cases mlp-digits --precision float32 bfloat16 --runs 8 64 --out"
    bench.compile_cases([*words.split(), str(tmp_path / "new")])
    assert asked == [
        (name, ["mlp-digits"], ["float32", "bfloat16"], [8, 64]) for name in ("h100", "v5e")
    ]
    kept = json.loads((tmp_path / "new" / "compile.json").read_text())
    assert len(kept["cases"]) == 8
    assert kept["cases"][0] == ONE._replace(units_per_second=8e6)._asdict()
    assert "2.5 microseconds a kernel" in kept["constants"]["h100"]
    assert (tmp_path / "new" / "compile.png").stat().st_size > 10_000
    assert "throughput is predicted" in capsys.readouterr().out


def test_what_does_not_fit_is_a_row_without_numbers_and_no_point_of_a_curve(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: drawn.append(figure))
    device, lost = read_device("v5e"), ONE._replace(runs=512, bound=NO_FIT, units_per_second=0.0)
    rows = compiled_table([ONE, lost], device).rows
    assert [row[2] for row in rows] == ["8", "512"]
    assert set(rows[1][3:-2]) == {"-"}
    assert rows[1][-2] == "does not fit"
    assert draw_predicted([lost], [device], tmp_path / "x.png") is None
    large = ONE._replace(device="v5e", runs=1000)  # which the compiler did not refuse
    assert compiled_table([large], device).rows[0][-3:-1] == ("-", "does not fit")
    assert compiled_table([large._replace(runs=800)], device).rows[0][-2] == "launches"
    draw_predicted([ONE._replace(device="v5e"), lost, large], [device], tmp_path / "x.png")
    (axes,) = drawn[0].subfigs[0].axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["8"]


def test_the_figure_says_that_it_is_predicted_and_from_what(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: drawn.append(figure))
    found = [ONE, ONE._replace(runs=64, units_per_second=5e7)]
    draw_predicted(found, [read_device("h100")], tmp_path / "x.png")
    (figure,) = drawn
    above, below = figure.subfigs
    (axes,) = above.axes
    assert "Predicted" in above.get_suptitle()
    assert "predicted examples/s" in axes.get_ylabel()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["8", "64"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["10M", "20M", "50M"]
    assert "3.35e+12 bytes/s" in below.axes[0].texts[0].get_text()
