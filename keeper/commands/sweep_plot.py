"""Debt at risk against price move, as one static page."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from keeper.app.whatif import Point
from keeper.core.errors import ConfigError
from keeper.core.lending import BaseUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
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


_LINES = (
    _Line("debt at risk", lambda one: one.debt, {"dash": "solid", "shape": "hv"}),
    _Line("bad debt", lambda one: one.bad_debt, {"dash": "dot", "shape": "hv"}),
    _Line("closed at a profit", lambda one: one.absorbed, {"dash": "dash"}, "circle"),
    _Line("left for lack of depth", lambda one: one.left, {"dash": "dashdot"}, "x"),
)


def write_plot(path: Path, curves: list[Curve]) -> None:
    """Write the curves as a page that needs no network. Raises ConfigError."""
    import plotly.graph_objects as go  # noqa: PLC0415 - half a second that only a plot needs
    from plotly.colors import qualitative  # noqa: PLC0415 - likewise

    figure = go.Figure()
    for curve, color in zip(curves, cycle(qualitative.Plotly), strict=False):
        for line in _LINES:
            figure.add_trace(go.Scatter(_trace(curve, line, color)))
    units = sorted({curve.unit.symbol for curve in curves})
    figure.update_layout(
        title="Debt at risk against price move",
        xaxis={"title": "price move, %", "autorange": "reversed"},
        yaxis={"title": f"debt under the line, {' / '.join(units)}", "rangemode": "tozero"},
        template="plotly_white",
        legend={"orientation": "h", "y": -0.2},
    )
    try:
        figure.write_html(path, include_plotlyjs=True)
    except OSError as error:
        msg = f"{path}: expected a file that can be written, found: {error.strerror}"
        raise ConfigError(msg) from error


def _trace(curve: Curve, line: _Line, color: str) -> dict[str, object]:
    known = [(one, figure) for one in curve.points if (figure := line.figure(one)) is not None]
    return {
        "x": [one.bps / 100 for one, _ in known],
        "y": [figure / curve.unit.scale for _, figure in known],
        "name": f"{curve.name}: {line.title}",
        "mode": "lines" if line.marker is None else "lines+markers",
        "marker": {"symbol": line.marker, "size": 8},
        "line": {**line.style, "color": color},
        "customdata": [one.accounts for one, _ in known],
        "hovertemplate": "%{x} %: %{y:,.0f}, %{customdata} accounts",
    }
