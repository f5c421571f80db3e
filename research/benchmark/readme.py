"""The README's table, made from the benchmarks that are kept: nobody types a figure."""

from pathlib import Path

from research.benchmark.record import load
from research.benchmark.tables import markdown, summary_table
from research.errors import UserError
from research.folders import files_in

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results" / "bench"
BEGIN, END = "<!-- bench: made by scripts/bench readme -->", "<!-- end of bench -->"


def readme_table(results: Path) -> str:
    """What stands between the marks: a table for each file, by name.

    Raises:
      UserError: if there is no file.
    """
    files = files_in(results, "*.json")
    if not files:
        raise UserError(f"no benchmark in {results}")
    parts = []
    for file in files:
        benchmark = load(file)
        date = benchmark.machine["started"][:10]
        table = summary_table(benchmark)
        parts.append(f"**{table.title}**, {date}:\n\n{markdown(table)}")
    return "\n\n".join(parts)


def write_readme(results: Path, path: Path) -> None:
    """Puts the table between the marks of a file.

    Raises:
      UserError: if it has no marks.
    """
    text = path.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"{path} has no marks {BEGIN} and {END}")
    path.write_text(f"{before}{begin}\n\n{readme_table(results)}\n\n{end}{after}", "utf-8")
