"""Figures and tables for a paper: learning curves as PDF, SVG or PNG, and the table of settings as
LaTeX, Markdown or CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from research import figures
from research.errors import UserError, shortlist
from research.plain_text import markdown_table, one_line
from research.report.curves import learning_curve
from research.report.page.chart import look
from research.report.settings import show
from research.report.summary import Line, Summary
from research.report.table import (
    TableColumn,
    columns_as_rows,
    first_rows,
    full_columns,
    setting_columns,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_FORMATS, TABLE_FORMATS = ("pdf", "svg", "png"), ("latex", "markdown", "csv")
SUFFIXES = {"latex": "tex", "markdown": "md", "csv": "csv"}
PANEL = 3.25, 2.4  # inches of one panel: the column of a paper
MOST_COLUMNS, LEAST_WIDTH = 3, 1.6  # of panels; inches of one, so that its ticks can be read
TICKS_AN_INCH = 2
FONT = 8  # points
DASHES = {"solid": "-", "dash": "--", "dot": ":"}
_STYLE: Any = {
    "pdf.fonttype": 42,  # whole outlines of the letters used, as journals ask for
    "svg.fonttype": "path",
    "svg.hashsalt": "seedbed",  # so that the same figure has the same bytes
    "font.size": FONT,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
}
# Without the date, the same figure has the same bytes.
_UNDATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}


def draw_figure(
    panels: Mapping[str, Summary],
    metric: str,
    size: tuple[float, float] | None = None,
    top: int = 8,
    names: Mapping[str, str] = {},
) -> "Figure":
    """Draws interquartile means with 95% intervals against steps, or work where that is counted.

    Args:
      panels: title -> the settings that are compared; one panel each.
      metric: a column of the metrics.
      size: inches of the whole figure; `PANEL` for each panel if not given.
      top: how many settings of each panel are drawn, the best; 0 draws all.
      names: the label of a setting -> what the legend calls it.

    Raises:
      UserError: if a name is given to a setting that there is not.
    """
    shown = {title: _best(summary, metric, top) for title, summary in panels.items()}
    labels = list(dict.fromkeys(label for some in shown.values() for label, _ in some))
    check_names(names, labels)
    columns = min(MOST_COLUMNS, len(panels))
    if size:
        columns = max(1, min(columns, int(size[0] / LEAST_WIDTH)))
    rows = -(-len(panels) // columns)
    size = size or (PANEL[0] * columns, PANEL[1] * rows)
    import matplotlib  # here, as help and errors do not need it
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        every = figure.subplots(rows, columns, squeeze=False).ravel()
        entries: dict[str, Any] = {}
        for axes, (title, some) in zip(every, shown.items(), strict=False):
            _draw_panel(axes, panels[title], some, labels, metric, entries)
            figures.set_counts(axes.xaxis, max(2, round(TICKS_AN_INCH * size[0] / columns)))
            if len(panels) > 1:
                figures.set_title(axes, title, FONT)
        figures.set_shared_labels(figure, *_axis_labels(panels, metric), FONT)
        for axes in every[len(panels) :]:
            axes.set_axis_off()
        called = [(handle, names.get(label, label)) for label, handle in entries.items()]
        if len(labels) > 1:
            wide = max(len(name) for _, name in called) + 6
            fit = max(1, int(size[0] * 72 / (0.55 * FONT) / wide))
            place = {"loc": "outside upper center", "ncols": min(fit, len(called))}
            figures.set_legend(figure, called, FONT - 1, **place)
    return figure


def _axis_labels(panels: Mapping[str, Summary], metric: str) -> tuple[str, str]:
    """What the axes of all panels show."""
    summary = next(iter(panels.values()))
    in_work = all(run.manifest["in_work"] for run in summary.runs)
    x = str(summary.runs[0].manifest["work_unit"]) if in_work else "step"
    return x, metric.replace("_", " ")


def labels_of(summary: Summary) -> list[str]:
    """Returns a label for each setting that names only what differs among them: values of swept
    fields, and the run folder if there are several."""
    every = [line.setting.values for line in summary.lines]
    differ = [name for name in every[0] if len({str(one.get(name)) for one in every}) > 1]
    labels = []
    for line, values in zip(summary.lines, every, strict=True):
        words = [f"{name} {show(values[name])}" for name in differ if name in values]
        labels.append(", ".join(filter(None, [summary.run_name(line.run), *words])) or "all")
    return labels


def _best(summary: Summary, metric: str, top: int) -> list[tuple[str, Line]]:
    """The best settings that have the metric, with their labels."""
    both = zip(labels_of(summary), summary.lines, strict=True)
    found = [(label, line) for label, line in both if line.setting.rows[metric].count() > 0]
    return found[:top] if top else found


def _draw_panel(
    axes: Any,
    summary: Summary,
    some: Sequence[tuple[str, Line]],
    labels: Sequence[str],
    metric: str,
    entries: dict[str, Any],
) -> None:
    """Draws the curves of one panel, and adds to the entries of the legend."""
    in_work = all(run.manifest["in_work"] for run in summary.runs)
    for label, line in some:
        curve, style = learning_curve(line.setting, metric), look(labels.index(label))
        at = curve.work if in_work else curve.steps
        drawn = {"color": style.colour, "linestyle": DASHES[style.dash]}
        (entries[label],) = axes.plot(at, curve.iqm, **drawn)
        axes.fill_between(at, curve.low, curve.high, color=style.colour, alpha=0.2, linewidth=0)
    axes.grid(alpha=0.3, linewidth=0.4)
    axes.spines[["top", "right"]].set_visible(False)


def check_names(names: Mapping[str, str], labels: Sequence[str]) -> None:
    """Checks that every setting that is given a name is there.

    Raises:
      UserError: if not.
    """
    for label in names:
        if label not in labels:
            there = shortlist([f'"{one}"' for one in labels], 12)
            raise UserError(f"--label {label}={names[label]}: the settings are {there}")


def figure_bytes(figure: "Figure", kind: str) -> bytes:
    """Returns a figure as a file of one of `FIGURE_FORMATS`."""
    buffer = io.BytesIO()
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format=kind, dpi=300, metadata=_UNDATED[kind])
    return buffer.getvalue()


def table_text(summary: Summary, kind: str, top: int = 0, names: Mapping[str, str] = {}) -> str:
    """Returns the table of settings, the best on top.

    Args:
      summary: of the settings.
      kind: one of `TABLE_FORMATS`. LaTeX needs the package booktabs.
      top: how many settings, the best; 0 has all.
      names: the label of a setting -> what the table calls it. If there are any, a column with
        these names takes the place of those that are swept.
    """
    columns = full_columns(summary)
    if names:
        first = len(setting_columns(summary))
        labels = labels_of(summary)
        check_names(names, labels)
        called = [names.get(label, label) for label in labels]
        columns = [TableColumn("setting", "in words", called), *columns[first:]]
    columns, _ = first_rows(columns, top)
    heads = [one_line(column.name.replace("\n", " ")) for column in columns]
    rows = [[one_line(cell) for cell in row] for row in columns_as_rows(columns)]
    return {"latex": _latex, "markdown": _markdown, "csv": _csv}[kind](heads, rows)


def _csv(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([heads, *rows])
    return file.getvalue()


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escape = str.maketrans({"|": r"\|", "\\": r"\\", "<": "&lt;", "`": r"\`"})
    escaped = [[cell.translate(escape) for cell in one] for one in [heads, *rows]]
    return markdown_table(escaped[0], escaped[1:]) + "\n"


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def _latex(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    line = lambda cells: " & ".join(cell.translate(_LATEX) for cell in cells) + r" \\"
    body = "\n".join(map(line, rows))
    return (
        f"\\begin{{tabular}}{{{'l' * len(heads)}}}\n\\toprule\n{line(heads)}\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}\n"
    )
