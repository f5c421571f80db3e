"""Writes the tables of throughput in README files, so that nobody types a number, from the
benchmarks in `experiments/results/bench/`."""

from collections.abc import Callable
from pathlib import Path

from research.atomic import write_text
from research.benchmark.cases import CASES
from research.benchmark.record import Benchmark, load
from research.benchmark.tables import Rows, markdown, same_form_table, summary_table
from research.errors import UserError
from research.folders import files_in

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results" / "bench"
BEGIN, END = "<!-- bench: made by scripts/bench readme -->", "<!-- end of bench -->"


def all_tables(results: Path) -> str:
    """Returns a table of every case for each benchmark: what `experiments/results/README.md` shows.

    Raises:
      UserError: if there is no file.
    """
    return "\n\n".join(_titled(one, summary_table(one)) for one in _benchmarks(results))


def short_table(results: Path) -> str:
    """Returns `same_form_table` of every case, each as it was last measured beside a baseline: what
    the README shows.

    Raises:
      UserError: if there is no file.
    """
    latest: dict[str, tuple[str, ...]] = {}
    names: tuple[str, ...] = ()
    for one in sorted(_benchmarks(results), key=lambda one: one.machine["started"]):
        table, measured = same_form_table(one), f"{one.name}, {one.machine['started'][:10]}"
        names = (*table.names, "measured on")
        latest |= {row[0].split()[0]: (*row, measured) for row in table.rows}
    return markdown(Rows("", names, [latest[case] for case in CASES if case in latest]))


README_FILES: dict[Path, Callable[[Path], str]] = {
    ROOT / "README.md": short_table,
    ROOT / "experiments" / "results" / "README.md": all_tables,
}


def write_readme(path: Path, tables: str) -> None:
    """Writes the tables between the marks of a file.

    Raises:
      UserError: if the file has no marks.
    """
    text = path.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"{path} has no marks {BEGIN} and {END}")
    write_text(path, f"{before}{begin}\n\n{tables}\n\n{end}{after}")


def _benchmarks(results: Path) -> list[Benchmark]:
    files = files_in(results, "*.json")
    if not files:
        raise UserError(f"no benchmark in {results}")
    return [load(file) for file in files]


def _titled(benchmark: Benchmark, table: Rows) -> str:
    return f"**{table.title}**, {benchmark.machine['started'][:10]}:\n\n{markdown(table)}"
