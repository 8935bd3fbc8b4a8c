"""What gas liquidations take, before a rehearsal tells.

``_getHypotheticalLiquiditySnapshot`` visits every market that the account entered, also those that
it has nothing in. So do ``liquidateAccount`` and ``healAccount``, which take about as much of one
pair as ``liquidateBorrow``.

Measured on Venus's published contracts on anvil, over Chainlink feeds behind its resilient oracle
and plain tokens, by least squares (``tests/support/gas_band.py`` holds the figures to real
executions).
"""

from collections.abc import Sequence
from typing import Final

from keeper.core.lending import SeizeQuote
from keeper.protocols.venus_isolated.state import Position

_FIRST: Final = 425_000
"""Liquidating and redeeming, refunds taken off, but for what each market takes."""
_MARKET: Final = 109_000
"""Each market that the account has something in, the pair's too."""
_IDLE: Final = 32_000
"""Each market that it entered and has nothing in; as measured on the core pool."""
_ACCRUAL: Final = 69_000
"""Each market that is accrued first."""


def of(position: Position, quotes: Sequence[SeizeQuote]) -> int:
    """Return about what gas quoted liquidations of a pair take; each as if it were the first."""
    once = _FIRST + len(position.entries) * _MARKET + position.idle * _IDLE
    return len(quotes) * once + sum(len(one.inputs) for one in quotes) * _ACCRUAL
