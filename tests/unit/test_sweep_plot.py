"""The plot of a sweep: what has another unit has axes of its own."""

import re
from pathlib import Path

from keeper.app.whatif import Point
from keeper.commands.sweep_plot import Curve, write_plot
from keeper.core.lending import BaseUnit

USD = BaseUnit(symbol="USD", scale=10**8)
WETH = BaseUnit(symbol="WETH", scale=10**18)
TITLE = re.compile(r'"text":"(debt under the line, \w+)"')
NAME = re.compile(r'"name":"([^"]+): debt at risk"')


def curve(name: str, unit: BaseUnit) -> Curve:
    points = tuple(
        Point(bps=bps, accounts=1, debt=-bps * unit.scale, bad_debt=0) for bps in (0, -1_000)
    )
    return Curve(name=name, unit=unit, points=points)


def plotted(folder: Path, *curves: Curve) -> str:
    path = folder / "sweep.html"
    write_plot(path, list(curves))
    return path.read_text("utf-8")


def test_each_unit_has_a_plot_and_is_in_the_names(tmp_path: Path) -> None:
    page = plotted(tmp_path, curve("one", USD), curve("two", WETH), curve("three", USD))
    assert TITLE.findall(page) == ["debt under the line, USD", "debt under the line, WETH"]
    assert NAME.findall(page) == ["one, USD", "two, WETH", "three, USD"]


def test_of_one_unit_the_axis_alone_says_it(tmp_path: Path) -> None:
    page = plotted(tmp_path, curve("one", USD), curve("two", USD))
    assert TITLE.findall(page) == ["debt under the line, USD"]
    assert NAME.findall(page) == ["one", "two"]
