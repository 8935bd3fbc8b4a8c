"""Debt at risk against price move, as one static page."""

from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from keeper.app.whatif import Point
from keeper.core.errors import ConfigError
from keeper.core.lending import BaseUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One sweep."""

    name: str
    unit: BaseUnit
    points: tuple[Point, ...]


def write_plot(path: Path, curves: list[Curve]) -> None:
    """Write the curves as a page that needs no network. Raises ConfigError."""
    import plotly.graph_objects as go  # noqa: PLC0415 - half a second that only a plot needs
    from plotly.colors import qualitative  # noqa: PLC0415 - likewise

    figure = go.Figure()
    for curve, color in zip(curves, cycle(qualitative.Plotly), strict=False):
        moves = [one.bps / 100 for one in curve.points]
        for what, dash in (("debt", "solid"), ("bad_debt", "dot")):
            title = "debt at risk" if what == "debt" else "bad debt"
            figure.add_trace(
                go.Scatter(
                    x=moves,
                    y=[getattr(one, what) / curve.unit.scale for one in curve.points],
                    name=f"{curve.name}: {title}",
                    line={"dash": dash, "shape": "hv", "color": color},
                    customdata=[one.accounts for one in curve.points],
                    hovertemplate="%{x} %: %{y:,.0f}, %{customdata} accounts",
                )
            )
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
