"""Why the Pool would revert, in its own words: custom errors since 3.4, numbers before."""

from enum import StrEnum
from typing import Final

from keeper.core.errors import RefusedError
from keeper.protocols.aave_v3.codec import WORD, selector, word_of_int


class Refusal(StrEnum):
    """A revert of ``liquidationCall``, by the name of the custom error (``Errors.sol``)."""

    SELF_LIQUIDATION = "SelfLiquidation"
    RESERVE_INACTIVE = "ReserveInactive"
    RESERVE_PAUSED = "ReservePaused"
    SENTINEL = "PriceOracleSentinelCheckFailed"
    GRACE_PERIOD = "LiquidationGraceSentinelCheckFailed"
    HEALTHY = "HealthFactorNotBelowThreshold"
    NOT_COLLATERAL = "CollateralCannotBeLiquidated"
    NOT_BORROWED = "SpecifiedCurrencyNotBorrowedByUser"
    BURN_OF_NOTHING = "InvalidBurnAmount"
    DUST = "MustNotLeaveDust"
    DIVISION_BY_ZERO = "Panic(0x12)"
    ILLIQUID = "Panic(0x11)"
    UNPAID = "token transfer"
    """The token refuses to be sent, in its own words."""
    NO_BONUS = "bonus of zero"
    """Reverts without data: ``PercentageMath.percentDiv`` by zero."""


NUMBERS: Final = {
    Refusal.RESERVE_INACTIVE: "27",
    Refusal.RESERVE_PAUSED: "29",
    Refusal.SENTINEL: "59",
    Refusal.GRACE_PERIOD: "97",
    Refusal.HEALTHY: "45",
    Refusal.NOT_COLLATERAL: "46",
    Refusal.NOT_BORROWED: "47",
    Refusal.BURN_OF_NOTHING: "25",
    Refusal.DUST: "103",
}
"""The numeric strings of ``Errors.sol`` up to 3.3."""

_PANICS: Final = {Refusal.DIVISION_BY_ZERO: 0x12, Refusal.ILLIQUID: 0x11}


class PoolRefusedError(RefusedError):
    """The Pool would revert; ``refusal`` is its reason."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(f"{refusal.value}: {detail}")
        self.refusal = refusal


def revert_data(refusal: Refusal, *, custom_errors: bool) -> bytes | None:
    """Return the bytes that the Pool reverts with; None when they are the token's own."""
    if refusal is Refusal.UNPAID:
        return None
    if refusal is Refusal.NO_BONUS:
        return b""
    if refusal in _PANICS:
        return selector("Panic(uint256)") + word_of_int(_PANICS[refusal])
    if custom_errors:
        return selector(f"{refusal.value}()")
    text = NUMBERS[refusal].encode()
    return (
        selector("Error(string)")
        + word_of_int(WORD)
        + word_of_int(len(text))
        + text.ljust(WORD, b"\0")
    )
