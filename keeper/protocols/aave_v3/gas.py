"""What gas liquidations take, before a rehearsal tells.

``GenericLogic.calculateUserAccountData`` visits every reserve that the account supplies as
collateral or owes: its price, its index and the account's balance. Those of the pair are visited in
any case. A second call in the transaction finds all of that storage warm.

Measured on the published contracts of 3.0 and 3.6 on anvil, over Chainlink feeds and plain tokens,
by least squares (``tests/support/gas_band.py`` holds the figures to real executions). Releases in
between are counted by what they share with either.
"""

from typing import Final

from msgspec import Struct

from keeper.core.lending import Option
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition

_PAIR: Final = 2


class GasTable(Struct, frozen=True, kw_only=True):
    """Units of gas, what refunds give back taken off."""

    first: int
    """A liquidation of an account with one collateral and one debt."""
    one_asset: int
    """How much less where both are the same asset."""
    reserve: int
    """Each further reserve of the account."""
    more: int
    """Each further liquidation of the pair."""
    reserve_again: int
    """Each further reserve of the account, in each further liquidation."""


WITH_STABLE_DEBT: Final = GasTable(
    first=410_000, one_asset=90_000, reserve=49_000, more=127_000, reserve_again=10_000
)
"""3.0."""
LEAN: Final = GasTable(
    first=330_000, one_asset=60_000, reserve=43_000, more=110_000, reserve_again=7_000
)
"""3.6."""


def of(view: AaveMarket, position: AavePosition, option: Option, steps: int) -> int:
    """Return about what gas so many liquidations of a pair take, one after the other."""
    table = WITH_STABLE_DEBT if view.rules.stable_debt else LEAN
    others = max(len(position.collateral) + len(position.debt) - _PAIR, 0)
    first = table.first + others * table.reserve
    if option.collateral == option.debt:
        first -= table.one_asset
    return first + (steps - 1) * (table.more + others * table.reserve_again)
