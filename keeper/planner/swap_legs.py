"""The swaps of a trade, pool by pool, as its plan tells them."""

from collections.abc import Sequence
from itertools import pairwise

from keeper.core.plan import SwapKind, SwapLeg
from keeper.core.ports import SwapOffer, SwapQuote
from keeper.planner.trade import Trade


def legs(trade: Trade) -> tuple[SwapLeg, ...]:
    """Return the swaps pool by pool, in the order of their paths."""
    bought = (*trade.repay, *trade.buyback)
    purchases = _kinds(bought, SwapKind.EXACT_OUT, SwapKind.EXACT_OUT_OWED)
    sale = _kinds(trade.sale, SwapKind.EXACT_IN, SwapKind.EXACT_IN_BALANCE)
    before = len(trade.repay)
    sold = _all_legs(sale) if trade.offer is None else (_offered_leg(trade.offer),)
    return (*_all_legs(purchases[:before]), *sold, *_all_legs(purchases[before:]))


def _offered_leg(offer: SwapOffer) -> SwapLeg:
    return SwapLeg(
        venue=offer.source,
        pool=offer.target,
        token_in=offer.ask.token_in,
        token_out=offer.ask.token_out,
        kind=SwapKind.EXACT_IN,
        amount_in=offer.ask.amount_in,
        amount_out=offer.amount_out,
    )


def _kinds(
    quotes: Sequence[SwapQuote], fixed: SwapKind, last: SwapKind
) -> tuple[tuple[SwapQuote, SwapKind], ...]:
    """Pair each part of a leg with how its amount is fixed: the last one takes what is left."""
    return tuple((quote, fixed if quote is not quotes[-1] else last) for quote in quotes)


def _all_legs(quotes: Sequence[tuple[SwapQuote, SwapKind]]) -> tuple[SwapLeg, ...]:
    return tuple(leg for quote, kind in quotes for leg in _pool_legs(quote, kind))


def _pool_legs(quote: SwapQuote, kind: SwapKind) -> tuple[SwapLeg, ...]:
    return tuple(
        SwapLeg(
            venue=hop.venue,
            pool=hop.pool,
            token_in=hop.token_in,
            token_out=hop.token_out,
            kind=kind,
            amount_in=amount_in,
            amount_out=amount_out,
        )
        for hop, (amount_in, amount_out) in zip(quote.path, pairwise(quote.amounts), strict=True)
    )
