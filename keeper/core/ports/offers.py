"""What rooms ask of those who offer to swap from outside: aggregators."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from keeper.core.units import Address


class Ask(Struct, frozen=True, kw_only=True):
    """A sale of exactly so much, by the executor and to it."""

    token_in: Address
    token_out: Address
    amount_in: int
    taker: Address
    """The executor: it pays, and is paid."""
    fair_out: int
    """What the amount is worth at the market's own prices, raw units of ``token_out``."""
    decimals: tuple[int, int]
    """Of ``token_in`` and ``token_out``."""


class SwapOffer(Struct, frozen=True, kw_only=True):
    """One call that is said to carry out what was asked. Checked, but still only a promise."""

    source: str
    ask: Ask
    amount_out: int
    target: Address
    spender: Address
    data: bytes
    gas: int
    """Of the call, within bounds."""
    least_gain_bps: int
    """What taking it has to gain over the local sale, as a share of that sale's output."""


class OfferDesk(Protocol):
    """Asks everybody who makes offers."""

    async def offers(self, ask: Ask) -> Sequence[SwapOffer]:
        """Return the offers that came in time and hold; never raises for what others sent."""
        ...
