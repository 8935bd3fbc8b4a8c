"""Why Morpho or a pre-liquidation contract would revert, in their own words."""

from enum import StrEnum
from typing import Final

from keeper.core.errors import RefusedError
from keeper.evm.words import WORD, selector, word_of_int


class Refusal(StrEnum):
    """A revert, by its string, its custom error or its panic."""

    NOT_CREATED = "market not created"
    HEALTHY = "position is healthy"
    INCONSISTENT_INPUT = "inconsistent input"
    INSUFFICIENT_COLLATERAL = "insufficient collateral"
    UNDERFLOW = "Panic(0x11)"
    DIVISION_BY_ZERO = "division by zero"
    NOT_PRE_LIQUIDATABLE = "NotPreLiquidatablePosition"
    LIQUIDATABLE = "LiquidatablePosition"
    TOO_LARGE = "PreLiquidationTooLarge"


_PANICS: Final = {Refusal.UNDERFLOW: 0x11, Refusal.DIVISION_BY_ZERO: 0x12}
_CUSTOM: Final = frozenset({Refusal.NOT_PRE_LIQUIDATABLE, Refusal.LIQUIDATABLE})


class MorphoRefusedError(RefusedError):
    """The protocol would revert; ``refusal`` is its reason."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(f"{refusal.value}: {detail}")
        self.refusal = refusal


def revert_data(refusal: Refusal) -> bytes:
    """Return the bytes that the contract reverts with (``PreLiquidationTooLarge`` has figures)."""
    if refusal in _PANICS:
        return selector("Panic(uint256)") + word_of_int(_PANICS[refusal])
    if refusal in _CUSTOM:
        return selector(f"{refusal.value}()")
    text = refusal.value.encode()
    return b"".join(
        (
            selector("Error(string)"),
            word_of_int(WORD),
            word_of_int(len(text)),
            text.ljust(-(-len(text) // WORD) * WORD, b"\0"),
        )
    )
