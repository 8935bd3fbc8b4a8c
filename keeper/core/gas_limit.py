"""The gas limit of a transaction whose gas is known, by an estimate or by a rehearsal."""

from typing import Final

from keeper.core.units import BPS

GAS_MARGIN_BPS: Final = 15_000
GAS_MARGIN: Final = 150_000
"""Room of the gas limit over the gas. A transaction that lands a block later than its neighbours
pays for the accruals that the neighbours paid for in the rehearsal."""
HEADS_APART: Final = 1_000
"""So many heads in a row each have a gas limit of their own: where several blocks share a second
and fees stand still, what was refused at one would else be the very same bytes at the next."""
CANCEL_GAS: Final = 21_000
"""What a transfer of nothing costs."""
MOST_TO_CANCEL: Final = CANCEL_GAS + HEADS_APART - 1
"""The highest gas limit of one that cancels, whatever its head, without data charged as gas."""


def gas_limit_of(gas: int, head: int) -> int:
    """Return the limit of a transaction that takes so much gas, made at the head of that number.

    What a rollup charges for data as gas is not in it.
    """
    return gas * GAS_MARGIN_BPS // BPS + GAS_MARGIN + head % HEADS_APART
