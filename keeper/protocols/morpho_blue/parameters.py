"""What the configuration of a deployment must say, and which markets it follows."""

from dataclasses import dataclass
from typing import Final

from keeper.core.units import Address, address
from keeper.protocols.morpho_blue.state import MarketParams

_ID_DIGITS: Final = 64
_LLTV_BPS: Final = 10**14
"""One basis point of an LLTV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Where a deployment of Morpho Blue is, and which of its markets to follow.

    Anybody may create a market, of any token and with any oracle. A market is followed when it
    passes every filter that is set; without one, every market is.
    """

    morpho: Address
    markets: tuple[str, ...] = ()
    """Ids of the only markets to follow. Empty: those that ``CreateMarket`` announces."""
    ignored_markets: tuple[str, ...] = ()
    """Ids of markets never to follow."""
    loan_assets: tuple[Address, ...] = ()
    collateral_assets: tuple[Address, ...] = ()
    oracles: tuple[Address, ...] = ()
    min_lltv_bps: int = 0
    max_lltv_bps: int = 10_000
    min_borrowed: int = 0
    """Whole loan tokens that must be owed in a market when the keeper starts. A market that is
    created later is followed whatever its size; one that grows later, from the next start on."""
    pre_liquidation_factories: tuple[Address, ...] = ()
    """Factories of pre-liquidation contracts; those of followed markets are followed too, each from
    when somebody authorised it."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is not an address, an id or an LLTV; take all in lower case."""
        object.__setattr__(self, "morpho", address(str(self.morpho)))
        for name in ("loan_assets", "collateral_assets", "oracles", "pre_liquidation_factories"):
            found = tuple(address(str(one)) for one in getattr(self, name))
            object.__setattr__(self, name, found)
        for name in ("markets", "ignored_markets"):
            ids = (market_id(one, f"{name}.{n}") for n, one in enumerate(getattr(self, name)))
            object.__setattr__(self, name, tuple(ids))
        if self.min_lltv_bps > self.max_lltv_bps:
            expected = f"expected at least min_lltv_bps, {self.min_lltv_bps}"
            msg = f"max_lltv_bps: {expected}, found {self.max_lltv_bps}"
            raise ValueError(msg)

    def wants(self, key: str, params: MarketParams) -> bool:
        """Return whether a market passes the filters; its size is not among them."""
        if key in self.ignored_markets or (self.markets and key not in self.markets):
            return False
        chosen = (
            (self.loan_assets, params.loan),
            (self.collateral_assets, params.collateral),
            (self.oracles, params.oracle),
        )
        if any(allowed and found not in allowed for allowed, found in chosen):
            return False
        return self.min_lltv_bps * _LLTV_BPS <= params.lltv <= self.max_lltv_bps * _LLTV_BPS


def market_id(text: object, key: str) -> str:
    """Return a market id in lower case; raise ValueError when it is not 32 bytes of hex."""
    found = str(text).lower()
    digits = found.removeprefix("0x")
    if (
        len(digits) != _ID_DIGITS
        or len(found) == len(digits)
        or set(digits) - set("0123456789abcdef")
    ):
        msg = f"{key}: expected a market id of 0x and 64 hex digits, found {text!r}"
        raise ValueError(msg)
    return found
