"""Tests of a benchmark's file and tables, and of the tables in README files."""

import json

import pytest

from research.benchmark import readme, tables
from research.benchmark.readme import BEGIN, END, README_FILES, RESULTS, all_tables, write_readme
from research.benchmark.record import BaselineResult, common, load, save, to_json
from research.errors import UserError


def test_a_saved_benchmark_loads_unchanged(benchmark, tmp_path):
    path = tmp_path / "new" / "bench.json"
    save(benchmark, path)
    assert load(path) == benchmark
    assert json.loads(path.read_text())["growths"][0]["timings"][0]["making"]["compile"] == 3


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1}', '{"format": 99}', "[1]"])
def test_a_file_that_is_no_benchmark_is_named(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"other\.json is"):
        load(path)


def test_the_table_of_a_case_has_a_line_for_each_number_of_runs(benchmark):
    table = tables.growth_table(benchmark, benchmark.growths[0])
    assert [row[0] for row in table.rows] == ["1", "2", "4", "8", "16"]
    first, second, *_, last = table.rows
    assert first[1] == "1k [900, 1.1k]"
    assert second[3] == "0.00"  # two runs in the time of one
    assert last[3] == "1.04"
    assert first[4] == "10.0%"  # 1e3 units of 1e6 FLOP of 1e10
    assert table.title.endswith("ended by saturation")


def test_the_summary_says_the_gain_and_the_ratio_to_others(benchmark):
    (row,) = tables.summary_table(benchmark).rows
    assert row[3:6] == ("4.1k with 8", "4.1x", "4")
    assert row[7:] == ("4%", "2.05x other (all threads)")


def test_targets_that_were_not_reached_have_no_time(benchmark):
    (reached,) = benchmark.targets
    missed = benchmark._replace(targets=[reached, reached._replace(seconds=None)])
    first, second = tables.targets_table(missed).rows
    assert first[3:5] == ("2.0 s", "0.50 s")
    assert second[3:5] == ("not reached", "")


def test_a_change_within_the_spread_is_not_reported(benchmark):
    (growth,) = benchmark.growths
    faster = [one._replace(units_per_second=2 * one.units_per_second, low=2 * one.low,
                           high=2 * one.high) for one in growth.timings[:1]]  # fmt: skip
    alike = [one._replace(units_per_second=1.05 * one.units_per_second)
             for one in growth.timings[1:3]]  # fmt: skip
    other = benchmark._replace(growths=[growth._replace(timings=[*faster, *alike])])
    assert len(common(benchmark.growths, other.growths)) == 3
    rows = tables.compare_table(benchmark, other).rows
    assert [row[-1] for row in rows] == ["2.00x", "1.05x, alike", "1.05x, alike"]


def test_a_change_beyond_the_spread_is_reported_though_quartiles_overlap(benchmark):
    (growth,) = benchmark.growths
    first = growth.timings[0]._replace(units_per_second=100.0, low=90.0, high=110.0)
    second = first._replace(units_per_second=115.0, low=105.0, high=125.0)
    one, other = (benchmark._replace(growths=[growth._replace(timings=[timing])])
                  for timing in (first, second))  # fmt: skip
    table = tables.compare_table(one, other, ["a.json", "b.json"])
    assert [row[-1] for row in table.rows] == ["1.15x"]
    assert [name.partition("\n")[0] for name in table.names[3:5]] == ["a.json", "b.json"]


def test_a_readme_gets_its_tables_between_the_marks(benchmark, tmp_path):
    save(benchmark, tmp_path / "results" / "one.json")
    guide, made = tmp_path / "README.md", all_tables(tmp_path / "results")
    guide.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_readme(guide, made)
    text = guide.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| product | float32 | 1k rows/s | 4.1k with 8 |" in text
    write_readme(guide, made)
    assert guide.read_text() == text
    with pytest.raises(UserError, match="no benchmark in"):
        all_tables(tmp_path)
    (tmp_path / "plain.md").write_text("nothing")
    with pytest.raises(UserError, match="has no marks"):
        write_readme(tmp_path / "plain.md", made)


@pytest.mark.parametrize("path", README_FILES, ids=lambda path: path.parent.name)
def test_readme_files_show_the_benchmarks_that_are_kept(path):
    """The tables in README files are exactly those that the script writes."""
    assert f"{BEGIN}\n\n{README_FILES[path](RESULTS)}\n\n{END}" in path.read_text()


def test_the_short_table_compares_the_strongest_baseline_of_each_form(benchmark):
    """Ours as one process a core stands beside others so run, and one process beside one."""
    result = lambda baseline, how, theirs, ours: BaselineResult(
        "product", "float32", baseline, how, 8, theirs, "same", ours, 8
    )
    apart = [result("slow", "one process a core", 1e3, 4e3),
             result("Seedbed", "one process a core", 6e3, 4e3),
             result("fast", "one process a core", 4e3, 4e3)]  # fmt: skip
    flax, slow = result("flax", "same engine", 3.9e3, 4e3), result("slow", "all threads", 800, 4e3)
    found = tables.same_form_table(
        benchmark._replace(baselines=[*benchmark.baselines, *apart, flax, slow])
    )
    assert found.rows == [
        ("product (same)", "6k rows/s", "4k rows/s, fast", "1.5x", "2.05x, other")
    ]


def test_without_a_process_a_core_the_short_table_has_one_process_of_each(benchmark):
    """As on a GPU, which processes do not share."""
    (row,) = tables.same_form_table(benchmark).rows
    assert row == ("product (same)", "4.1k rows/s", "2k rows/s, other", "2.05x", "2.05x, other")
    assert tables.same_form_table(benchmark._replace(baselines=[])).rows == []


def test_the_readme_shows_each_case_as_it_was_last_measured(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "CASES", ("other", "product"))
    earlier = benchmark._replace(machine=benchmark.machine | {"started": "2020-01-01T00:00:00"})
    (growth,) = benchmark.growths
    other = growth._replace(case="other")
    results = [one._replace(case="other") for one in benchmark.baselines]
    save(earlier._replace(growths=[growth, other], baselines=[*results]), tmp_path / "b.json")
    save(benchmark, tmp_path / "a.json")
    *_, first, second = readme.short_table(tmp_path).splitlines()
    assert first.startswith("| other (same) |")
    assert "2020-01-01" in first
    assert second.startswith("| product (same) |")
    assert benchmark.machine["started"][:10] in second
    twice = earlier._replace(machine=benchmark.machine | {"started": "2099-01-01T00:00:00"})
    save(twice, tmp_path / "c.json")
    assert "2099-01-01" in readme.short_table(tmp_path).splitlines()[-1]


def test_json_has_plain_types(benchmark):
    assert json.loads(json.dumps(to_json(benchmark), allow_nan=False))["format"] == 1
