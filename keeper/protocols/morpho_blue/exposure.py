"""A Morpho account as the float screen sees it, and as few bytes.

Why the sum is a lower bound (``Exposure``), in raw units of the loan token, with exact factors:
what is owed is ``ceil(shares * (assets + 1) / (issued + 1e6))``, less than 1 above the term of the
debt; the limit is ``floor(floor(collateral * price / 1e36) * lltv / 1e18)``, less than 2 below the
term of the collateral, as the LLTV is below one. An account whose terms sum to 3 or more owes no
more than its limit. Early liquidation asks for more: above its threshold, and not above Morpho's.
"""

from collections.abc import Mapping
from math import nan
from typing import Final

from keeper.core.screening import Exposure, Factor
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.protocols.morpho_blue.rules import ORACLE_PRICE_SCALE, VIRTUAL_ASSETS, VIRTUAL_SHARES
from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition

_SLACK: Final = 3.0
_COLLATERAL: Final = 0
_DEBT: Final = 1
_SHARES_BYTES: Final = 16
"""Both amounts of a position are ``uint128`` in Morpho."""


def exposure(position: MorphoPosition) -> Exposure:
    """Return an account's weights: raw collateral and borrow shares."""
    key = int(position.market, 16) << 1
    return Exposure(
        terms=(
            (key | _COLLATERAL, float(position.collateral)),
            (key | _DEBT, float(position.shares)),
        ),
        slack=_SLACK,
    )


def factor(view: MorphoMarket, key: int) -> Factor:
    """Return what a unit of collateral, or a share, counts for in a market at the view's time."""
    name = _name(view, key >> 1)
    market = None if name is None else view.market_of(name)
    if name is None or market is None or view.lines[market.id].problem:
        return Factor(None, nan)
    line, early = view.lines[market.id], view.pre_liquidations.get(name)
    if key & _DEBT:
        totals = line.totals
        owed = totals.borrow_assets + VIRTUAL_ASSETS
        return Factor(None, -(owed / (totals.borrow_shares + VIRTUAL_SHARES)))
    threshold = line.lltv if early is None else early.terms.pre_lltv
    feed = market.params.oracle if early is None else early.oracle
    return Factor(feed, threshold / (WAD * ORACLE_PRICE_SCALE))


def repriced(view: MorphoMarket, prices: Mapping[str, int]) -> MorphoMarket:
    """Return the view with some prices replaced: interest stays."""
    lines = {
        key: line._replace(price=prices[oracle])
        if (oracle := view.markets[key].params.oracle) in prices
        else line
        for key, line in view.lines.items()
    }
    return replace(view, prices={**view.prices, **prices}, lines=lines)


def pack(position: MorphoPosition) -> bytes:
    """Return the position as few bytes: shares, collateral, and whose."""
    return b"".join(
        (
            position.shares.to_bytes(_SHARES_BYTES, "big"),
            position.collateral.to_bytes(_SHARES_BYTES, "big"),
            bytes.fromhex(position.market[2:]),
        )
    )


def unpack(packed: bytes) -> MorphoPosition:
    """Return the position that was packed."""
    return MorphoPosition(
        shares=int.from_bytes(packed[:_SHARES_BYTES], "big"),
        collateral=int.from_bytes(packed[_SHARES_BYTES : 2 * _SHARES_BYTES], "big"),
        market="0x" + packed[2 * _SHARES_BYTES :].hex(),
    )


def _name(view: MorphoMarket, number: int) -> str | None:
    """Return the market of a number: an id of 32 bytes, or an address of 20."""
    for name in (f"0x{number:064x}", f"0x{number:040x}"):
        if view.market_of(name) is not None:
            return name
    return None
