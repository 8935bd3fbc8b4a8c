"""What gas liquidations take, before a rehearsal tells.

``getHypotheticalAccountLiquidityInternal`` visits every market that the account entered, also those
that it has nothing in: a balance, a rate and a price each. Venus's Liquidator, where there is one,
is called around that, moves the cTokens and hands the treasury its part. A second liquidation in
the transaction finds the storage warm.

Measured on Venus's published contracts on anvil, over Chainlink feeds behind its resilient oracle
and plain tokens, by least squares (``tests/support/gas_band.py`` holds the figures to real
executions). There is no Compound to measure: it is counted as Venus without a Liquidator.
"""

from collections.abc import Sequence
from typing import Final

from keeper.core.lending import SeizeQuote
from keeper.protocols.compound_v2.state import Deployment, Position

_FIRST: Final = 412_000
"""Liquidating and redeeming, refunds taken off, but for what each market takes."""
_MARKET: Final = 117_000
"""Each market that the account has something in, the pair's too."""
_IDLE: Final = 32_000
"""Each market that it entered and has nothing in."""
_MORE: Final = 228_000
"""Each further liquidation of the pair."""
_MARKET_AGAIN: Final = 14_500
"""Each market entered, in each further liquidation."""
_THROUGH: Final = 212_000
"""What the Liquidator takes of the first liquidation."""
_THROUGH_AGAIN: Final = 130_000
"""The same of each further one."""
_ACCRUAL: Final = 49_000
"""Each market that is accrued first; what it reads is warm for the liquidation."""


def of(view: Deployment, position: Position, quotes: Sequence[SeizeQuote]) -> int:
    """Return about what gas quoted liquidations of a pair take, one after the other."""
    held = len(position.entries)
    first, more = _FIRST, _MORE
    if view.liquidator is not None:
        first, more = first + _THROUGH, more + _THROUGH_AGAIN
    first += held * _MARKET + position.idle * _IDLE
    more += (held + position.idle) * _MARKET_AGAIN
    accruals = sum(len(one.inputs) for one in quotes)
    return first + (len(quotes) - 1) * more + accruals * _ACCRUAL
