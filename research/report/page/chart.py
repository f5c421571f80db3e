"""Charts for the page: what plotly draws, in plain JSON, and how settings look in all of them."""

import base64
import dataclasses
import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from research.plain_text import one_line

# The first three are of Okabe and Ito (2008). Each has a contrast of 3:1 on the light and the dark
# ground of the page, and any two differ to colour-blind readers, too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#9424ff", "#df034a", "#0d9ab2", "#b566fe")
DASHES = ("solid", "dash", "dot")
MARKERS = ("circle", "square", "diamond")
MOST = len(COLOURS) * len(DASHES)  # settings that are drawn; more look alike


class Look(NamedTuple):
    """How a setting is drawn in every chart."""

    colour: str
    dash: str
    mark: str


def look(place: int) -> Look:
    """The look of the setting at a place of the table."""
    kind = place // len(COLOURS) % len(DASHES)
    return Look(COLOURS[place % len(COLOURS)], DASHES[kind], MARKERS[kind])


def plain(text: object) -> str:
    """Text that plotly, which reads a few HTML tags in its labels, shows as it is, in one line."""
    return html.escape(one_line(text), quote=False)


@dataclasses.dataclass(frozen=True)
class Trace:
    """A line, a band, dots or a heat map in a chart.

    Attributes:
      drawn: a plotly trace.
      setting: the place of the setting that switches it on and off; None: always on.
      along: name of an x-axis -> x; empty where there is but one.
    """

    drawn: Any
    setting: int | None = None
    along: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Variant:
    """A variant of a chart, such as one of several metrics: one is shown at a time.

    Attributes:
      name: to choose it by.
      traces: what is drawn.
      layout: of plotly: axis titles and the like; colours and fonts are the page's.
      log: whether a logarithmic y-axis makes sense.
    """

    name: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
      name: of its element.
      title: above it.
      note: how to read it, in a sentence.
      variants: at least one; the first is shown at first.
      legend: whether settings are switched on and off.
      height: in pixels.
      whole: whether it needs the whole width of the page.
    """

    name: str
    title: str
    note: str
    variants: Sequence[Variant]
    legend: bool = False
    height: int = 420
    whole: bool = False

    def to_json(self) -> dict[str, Any]:
        """The chart as the page's script reads it."""
        return {
            "variants": [_variant_json(variant) for variant in self.variants],
            "legend": self.legend,
            "height": self.height,
        }


def band(low: np.ndarray, high: np.ndarray, x: Any = None, **drawn: Any) -> Any:
    """The area between two curves, as a plotly trace without text on hover.

    Args:
      low, high: [T].
      x: [T]; None where the trace is drawn along several axes, as `there_and_back` has them.
      drawn: its colour and the like.
    """
    return go.Scatter(
        x=None if x is None else there_and_back(x),
        y=np.concatenate([high, low[::-1]]).astype(np.float32),
        fill="toself", mode="lines", line={"width": 0}, hoverinfo="skip", **drawn,
    )  # fmt: skip


def there_and_back(x: np.ndarray) -> np.ndarray:
    """The x coordinates [2 T] of the outline of the area between two curves over x [T]."""
    return np.concatenate([x, x[::-1]])


def _variant_json(variant: Variant) -> dict[str, Any]:
    figure = go.Figure([trace.drawn for trace in variant.traces], variant.layout).to_dict()
    layout = {name: value for name, value in figure["layout"].items() if name != "template"}
    traces = [
        {
            "drawn": drawn,
            "setting": trace.setting,
            "along": {one_line(name): packed(x) for name, x in trace.along.items()},
        }
        for drawn, trace in zip(figure["data"], variant.traces, strict=True)
    ]
    return {"name": one_line(variant.name), "traces": traces, "layout": layout, "log": variant.log}


def packed(values: np.ndarray) -> dict[str, str]:
    """Numbers as plotly reads them, more compact than text: float64, or int32 where they fit."""
    fits = values.dtype.kind == "i" and np.all(np.abs(values) < 2**31)
    kind = "i4" if fits else "f8"
    return {"dtype": kind, "bdata": base64.b64encode(values.astype(f"<{kind}").tobytes()).decode()}
