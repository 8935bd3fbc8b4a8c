"""What gas liquidations take, before a rehearsal tells.

A market has one pair, and what else the account has nobody looks at. Measured on the published
contract on anvil, over an oracle of two Chainlink feeds and plain tokens
(``tests/support/gas_band.py`` holds the figures to real executions); ``preLiquidate`` on a contract
of ours that keeps its rules.
"""

from typing import Final

from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition

_LIQUIDATE: Final = 180_000
"""With its callback, refunds taken off."""
_PRE_LIQUIDATE: Final = 260_000
"""It repays and withdraws by calls and callbacks of its own."""


def of(view: MorphoMarket, position: MorphoPosition) -> int:
    """Return about what gas one liquidation of an account takes."""
    return _PRE_LIQUIDATE if position.market in view.pre_liquidations else _LIQUIDATE
