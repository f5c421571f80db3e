"""The page of run folders: one HTML file that needs no network."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import markupsafe
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from research.atomic import write_text
from research.plain_text import one_line, visible
from research.report.findings import findings
from research.report.page import facts
from research.report.page.chart import MOST, Chart, look
from research.report.page.curves import RESAMPLES, learning_curves
from research.report.page.fields import field_charts
from research.report.page.goal import goal_curves
from research.report.page.progress import search_charts
from research.report.page.schedules import schedule_charts
from research.report.page.scores import dots, profile
from research.report.summary import Summary
from research.report.table import columns_as_rows, full_columns, pair_columns, setting_columns
from research.report.views import Shown, find_views

SHOWN_AT_FIRST = 8  # settings; the others are switched on
FILES = resources.files("research.report.page")


class LiveProgress(NamedTuple):
    """How far a sweep is: the share of its steps, from 0 to 1, and in words."""

    share: float
    text: str


def make_page(summary: Summary, live: bool = False, progress: Sequence[LiveProgress] = ()) -> str:
    """The whole page as HTML.

    Args:
      summary: what it shows.
      live: whether it polls the server that it came from for news.
      progress: of the sweeps that are still trained.
    """
    scripts = [get_plotlyjs(), (FILES / "page.js").read_text("utf-8")]
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=_title(summary),
            style=(FILES / "page.css").read_text("utf-8"),
            scripts=scripts,
            policy=_policy(scripts, live),
            content=make_content(summary, progress=progress),
            live=live,
        )
    )


def make_content(
    summary: Summary, resamples: int = RESAMPLES, progress: Sequence[LiveProgress] = ()
) -> dict[str, Any]:
    """The part of the page that changes while a sweep runs: its body as HTML, and what its charts
    draw as JSON.

    Args:
      summary: what to show.
      resamples: of the bands of learning curves.
      progress: of the sweeps that are still trained.
    """
    main = [learning_curves(summary, resamples), goal_curves(summary), dots(summary)]
    main.append(profile(summary))
    charts = [chart for chart in main if chart is not None and chart.variants]
    by_run = [_of_run(summary, run) for run in range(len(summary.runs))]
    columns = full_columns(summary)
    html = (
        _templates()
        .get_template("body.html")
        .render(
            title=_title(summary),
            findings=findings(summary),
            progress=progress,
            columns=columns,
            meanings=[(column.name, column.meaning) for column in columns],
            rows=columns_as_rows(columns),
            fields=len(setting_columns(summary)),
            labels=[line.label for line in summary.lines],
            looks=min(MOST, len(summary.lines)),
            charts=charts,
            runs=by_run,
            names=[run["name"] for run in by_run],
            pairs=pair_columns(summary),
            pair_rows=columns_as_rows(pair_columns(summary)),
            differing=facts.differing(summary.runs) if len(summary.runs) > 1 else [],
        )
    )
    every = [*charts, *(chart for run in by_run for chart in run["charts"])]
    return {"html": html, "data": to_json(_drawn(summary, every))}


def _of_run(summary: Summary, run: int) -> dict[str, Any]:
    """The section of one folder."""
    data = summary.runs[run]
    views = find_views(data.manifest)
    own = views.show(summary, run) if views else Shown()
    return {
        "name": summary.run_name(run) or data.path.resolve().name,
        "charts": [
            *schedule_charts(summary, run),
            *search_charts(summary, run),
            *field_charts(summary, run),
            *own.charts,
        ],
        "images": own.images,
        "texts": own.texts,
        "facts": facts.facts(data),
        "given": facts.given(data),
        "diverged": facts.diverged(data),
        "rungs": facts.rungs(data),
    }


def _drawn(summary: Summary, charts: list[Chart]) -> dict[str, Any]:
    lines = summary.lines[:MOST]
    return {
        "settings": [
            {
                "label": one_line(line.label),
                **look(line.place)._asdict(),
                "on": line.place < SHOWN_AT_FIRST,
            }
            for line in lines
        ],
        "charts": {chart.name: chart.to_json() for chart in charts},
    }


def to_json(content: Any) -> str:
    """JSON that may stand in a script element: no `<` in it, and none of the two line ends that
    JavaScript, but not JSON, minds. NaN, which JSON does not know, is null."""
    text = json.dumps(content, cls=PlotlyJSONEncoder, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def write_page(summary: Summary, path: Path) -> Path:
    """Writes the page and returns its path.

    Raises:
      NotWritten: if it cannot be written.
    """
    write_text(path, make_page(summary))
    return path


def _policy(scripts: list[str], live: bool) -> str:
    """A Content-Security-Policy: these scripts and no others, and no network."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in scripts
    )
    news = "; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        f"img-src data: blob:; base-uri 'none'; form-action 'none'{news}"
    )


def _title(summary: Summary) -> str:
    return ", ".join(run.path.resolve().name for run in summary.runs)


def _shown(value: Any) -> Any:
    """A value as a template shows it: text that is not our own markup, letter by letter."""
    ours = isinstance(value, markupsafe.Markup)
    return visible(value) if isinstance(value, str) and not ours else value


def _pieces(cell: str) -> markupsafe.Markup:
    """A cell that may be broken around an interval, and nowhere else."""
    parts = re.split(r" (?=\[)|(?<=\]) ", visible(cell))
    return markupsafe.Markup(" ").join(
        markupsafe.Markup('<span class="piece">{}</span>').format(part) for part in parts
    )


def _broken(name: str) -> markupsafe.Markup:
    """A heading that may be broken at a space or after an underscore."""
    return markupsafe.Markup("_<wbr>").join(visible(name).split("_"))


def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("research.report.page", ""),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"pieces": _pieces, "broken": _broken}
    return made
