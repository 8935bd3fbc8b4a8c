"""Debt at risk against price move, as one static page."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from keeper.app.whatif import Point
from keeper.core.errors import ConfigError
from keeper.core.lending import BaseUnit


class Curve(Struct, frozen=True, kw_only=True):
    """One sweep."""

    name: str
    unit: BaseUnit
    points: tuple[Point, ...]


class _Line(NamedTuple):
    """One line of a curve; points without a figure are left out."""

    title: str
    figure: Callable[[Point], int | None]
    style: dict[str, str]
    """Of the line itself."""
    marker: str | None = None


_PLOT_HEIGHT = 450
"""Of the plot of a unit, pixels; its share of the margins and the legend's come on top."""
_LEGEND_HEIGHT = 80
_MARGINS = 150

_LINES = (
    _Line("debt at risk", lambda one: one.debt, {"dash": "solid", "shape": "hv"}),
    _Line("bad debt", lambda one: one.bad_debt, {"dash": "dot", "shape": "hv"}),
    _Line("closed at a profit", lambda one: one.absorbed, {"dash": "dash"}, "circle"),
    _Line("left for lack of depth", lambda one: one.left, {"dash": "dashdot"}, "x"),
)


def write_plot(path: Path, curves: list[Curve]) -> None:
    """Write the curves as a page that needs no network, a plot a unit. Raises ConfigError."""
    import plotly.graph_objects as go  # noqa: PLC0415 - half a second that only a plot needs
    from plotly.colors import qualitative  # noqa: PLC0415 - likewise
    from plotly.subplots import make_subplots  # noqa: PLC0415 - likewise

    units = list(dict.fromkeys(curve.unit.symbol for curve in curves))
    figure = make_subplots(rows=len(units), cols=1, vertical_spacing=0.4 / len(units) ** 2)
    for curve, color in zip(curves, cycle(qualitative.Plotly), strict=False):
        row = units.index(curve.unit.symbol) + 1
        name = f"{curve.name}, {curve.unit.symbol}" if len(units) > 1 else curve.name
        for line in _LINES:
            figure.add_trace(go.Scatter(_trace(curve, name, line, color)), row=row, col=1)
    for row, unit in enumerate(units, start=1):
        title = f"debt under the line, {unit}"
        figure.update_xaxes(title="price move, %", autorange="reversed", row=row, col=1)
        figure.update_yaxes(title=title, rangemode="tozero", row=row, col=1)
    figure.update_layout(
        title="Debt at risk against price move",
        height=_PLOT_HEIGHT * len(units) + _LEGEND_HEIGHT * len(curves) + _MARGINS,
        template="plotly_white",
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
    )
    try:
        figure.write_html(path, include_plotlyjs=True)
    except OSError as error:
        msg = f"{path}: expected a file that can be written, found: {error.strerror}"
        raise ConfigError(msg) from error


def _trace(curve: Curve, name: str, line: _Line, color: str) -> dict[str, object]:
    known = [(one, figure) for one in curve.points if (figure := line.figure(one)) is not None]
    return {
        "x": [one.bps / 100 for one, _ in known],
        "y": [figure / curve.unit.scale for _, figure in known],
        "name": f"{name}: {line.title}",
        "mode": "lines" if line.marker is None else "lines+markers",
        "marker": {"symbol": line.marker, "size": 8},
        "line": {**line.style, "color": color},
        "customdata": [one.accounts for one, _ in known],
        "hovertemplate": "%{x} %: %{y:,.0f}, %{customdata} accounts",
    }
