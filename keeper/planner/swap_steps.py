"""From quotes to the executor's steps that carry them out."""

from collections.abc import Sequence
from typing import Final

from keeper.core.ports import Hop, HopKind, Path, SwapOffer, SwapQuote
from keeper.evm.program import (
    Approval,
    BalanceOf,
    Call,
    Known,
    Operand,
    PairSwap,
    Step,
    Swap,
    call_parts,
)

_NO_LIMIT: Final = 2**128 - 1


def purchase_steps(quotes: Sequence[SwapQuote]) -> tuple[Step, ...]:
    """Buy what is owed: each part but the last buys its forecast, the last whatever is missing."""
    return tuple(
        _purchase(quote.path, Known.OWED if quote is quotes[-1] else quote.amount_out)
        for quote in quotes
    )


def sale_steps(quotes: Sequence[SwapQuote]) -> tuple[Step, ...]:
    """Sell all: each part but the last sells its forecast, the last whatever is left."""
    return tuple(
        step
        for quote in quotes
        for step in _sale(quote.path, None if quote is quotes[-1] else quote.amount_in)
    )


def offer_steps(offer: SwapOffer, quotes: Sequence[SwapQuote]) -> tuple[Step, ...]:
    """Sell by an offer, then whatever it left along the path that would have taken the most.

    The allowance is exact. When less is at hand than was asked about, the call fails and nothing
    else does: all of it goes along the local path, and the minimum profit judges what that gives.
    """
    selector, parts = call_parts(offer.data)
    token = offer.ask.token_in
    approval = Approval(token=token, spender=offer.spender, amount=offer.ask.amount_in)
    call = Call(
        target=offer.target, selector=selector, parts=parts, approval=approval, optional=True
    )
    return (call, *_sale(quotes[-1].path, None))


def bought_first_step(path: Path, amount: int, inner: tuple[Step, ...]) -> Step:
    """Buy before anything is at hand; ``inner`` finds the collateral that the path begins with."""
    *before, last = path
    if before:
        inner = (*inner, _purchase(tuple(before), Known.OWED))
    return _buy(last, amount, _NO_LIMIT, inner)


def _purchase(path: Path, amount: Operand) -> Step:
    """Buy an amount: the last pool pays out first and is paid by the hop before it.

    The first hop may spend all the collateral at hand and no more; what a middle token may cost
    is bounded by that.
    """
    swap: Step | None = None
    for place, hop in enumerate(path):
        limit = _NO_LIMIT if place else BalanceOf(token=hop.token_in)
        wanted = amount if place == len(path) - 1 else Known.OWED
        swap = _buy(hop, wanted, limit, () if swap is None else (swap,))
    if swap is None:
        msg = "expected a path to buy along, found an empty one"
        raise ValueError(msg)
    return swap


def _buy(hop: Hop, amount: Operand, limit: Operand, inner: tuple[Step, ...]) -> Step:
    return _step(hop, amount=amount, limit=limit, inner=inner)


def _sale(path: Path, amount: int | None) -> tuple[Step, ...]:
    """Sell an amount, None for the whole balance; each further hop sells what the last one gave."""
    return tuple(
        _step(hop, amount=BalanceOf(token=hop.token_in) if place or amount is None else amount)
        for place, hop in enumerate(path)
    )


def _step(
    hop: Hop, *, amount: Operand, limit: Operand | None = None, inner: tuple[Step, ...] = ()
) -> Step:
    if hop.kind is HopKind.UNISWAP_V2:
        return PairSwap(
            pair=hop.pool,
            token_in=hop.token_in,
            token_out=hop.token_out,
            amount=amount,
            limit=limit,
            fee=hop.fee,
            inner=inner,
        )
    return Swap(
        pool=hop.pool,
        token_in=hop.token_in,
        token_out=hop.token_out,
        amount=amount,
        limit=limit,
        inner=inner,
    )
