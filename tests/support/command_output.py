"""What a command prints, and a market whose prices fall before it."""

import json
from collections.abc import Callable
from typing import Any

from keeper.devnet.crash import crash
from tests.support.market_node import MarketNode

Lines = list[dict[str, Any]]
Printed = Callable[[], str]


def json_lines(text: str) -> Lines:
    """Return what a command printed for machines."""
    return [json.loads(line) for line in text.splitlines()]


def fall(node: MarketNode, steps: int) -> None:
    """Let prices fall by so many steps of the crash."""
    for _ in zip(range(steps), crash(node.live), strict=False):
        pass
