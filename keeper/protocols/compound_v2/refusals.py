"""Why a liquidation would not happen, in the contracts' own words.

Markets of the family answer most refusals with an error code and a ``Failure`` event instead of a
revert: the transaction succeeds and nothing was liquidated.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from keeper.core.errors import RefusedError


class Refusal(StrEnum):
    """A refusal of ``liquidateBorrow``, or of redeeming what it seized."""

    HEALTHY = "INSUFFICIENT_SHORTFALL"
    TOO_MUCH_REPAY = "TOO_MUCH_REPAY"
    NO_AMOUNT = "LIQUIDATE_CLOSE_AMOUNT_IS_ZERO"
    SEIZE_TOO_MUCH = "LIQUIDATE_SEIZE_TOO_MUCH"
    NOT_COLLATERAL = "MARKET_NOT_COLLATERAL"
    NOT_BORROWED = "nothing is owed in the market"
    PROTOCOL_PAUSED = "protocol is paused"
    ACTION_PAUSED = "action is paused"
    RESTRICTED = "LiquidationNotAllowed"
    VAI_FIRST = "VAIDebtTooHigh"
    VAI_PAUSED = "VAI is paused"
    NO_INCENTIVE = "the account's pool gives no incentive"
    WORTHLESS = "divide by zero"
    ILLIQUID = "the market's cash does not cover the redemption"


class Failure(NamedTuple):
    """What a market's ``Failure`` event says."""

    error: int
    info: int
    detail: int


_REJECTED: Final = 3
_LIQUIDATE_REJECTED: Final = 18

FAILURES: Final = {
    Refusal.HEALTHY: Failure(_REJECTED, _LIQUIDATE_REJECTED, 3),
    Refusal.TOO_MUCH_REPAY: Failure(_REJECTED, _LIQUIDATE_REJECTED, 17),
    Refusal.NO_AMOUNT: Failure(7, 21, 0),
}
"""Refusals that a market answers softly (``ErrorReporter.sol`` of Venus 10.3.0)."""

_VAI_REJECTION: Final = 2
_VAI_REJECTED: Final = 10

VAI_FAILURES: Final = {
    Refusal.HEALTHY: Failure(_VAI_REJECTION, _VAI_REJECTED, 3),
    Refusal.TOO_MUCH_REPAY: Failure(_VAI_REJECTION, _VAI_REJECTED, 17),
    Refusal.NO_AMOUNT: Failure(_VAI_REJECTION, 13, 0),
}
"""Refusals that VAI's controller answers softly (``VAIControllerErrorReporter``)."""


class MarketRefusedError(RefusedError):
    """The contracts would refuse; ``refusal`` is their reason."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(f"{refusal.value}: {detail}")
        self.refusal = refusal
