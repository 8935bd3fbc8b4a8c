"""What the end of an intent comes to: its outcome, of each account, from what the chain says."""

from collections.abc import Sequence

from msgspec import Struct

from keeper.core.accounting import Settlement, Waterfall, gas_only, unvalued, waterfall
from keeper.core.chain import Receipt
from keeper.core.lending import Liquidation, Valuation
from keeper.core.plan import Intent, Outcome, Status
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.executor.dividing import equal_parts

REFUSED_SOFTLY = "succeeded on chain, but liquidated nothing"
"""Of a transaction whose protocol refused without a revert: no success, whatever its status."""
UNVALUED = "its tokens had no price in coin at its block: what it brought is told, not where from"
UNREAD = "its market is not followed any more: what it brought is told, not where from"


class Found(Struct, frozen=True, kw_only=True):
    """What the chain says of one account of a transaction."""

    status: Status
    realised: Waterfall
    liquidations: tuple[Liquidation, ...] = ()
    detail: str = ""


def done(moved: Settlement, valuation: Valuation | None, said: str) -> Found:
    """Return what an account's part of a transaction that succeeded came to.

    Where its tokens have no price at the block that is known in coin they never will have one. What
    brought more coin than its gas liquidated something, be it of a market that nobody decodes any
    more; dust that a stranger left with the executor contract is no sign of it.
    """
    is_read = bool(moved.liquidations)
    is_valued = valuation is not None and _tokens_of(moved) <= valuation.assets.keys()
    if not is_read and moved.received > moved.gas:
        return Found(status=Status.LANDED, realised=unvalued(moved), detail=UNREAD)
    details = (said if is_read else REFUSED_SOFTLY, "" if is_valued else UNVALUED)
    return Found(
        status=Status.LANDED if is_read else Status.REVERTED,
        realised=waterfall(moved, valuation) if valuation and is_valued else unvalued(moved),
        liquidations=moved.liquidations,
        detail="; ".join(filter(None, details)),
    )


def _tokens_of(moved: Settlement) -> set[Address]:
    """Return the tokens whose prices the split needs."""
    tokens = {token for one in moved.liquidations for token in (one.collateral, one.debt)}
    return tokens if moved.flash_fee_asset is None else {*tokens, moved.flash_fee_asset}


def ended(intent: Intent, receipt: Receipt, status: Status, gas: int, detail: str) -> Outcome:
    """Return the outcome of a transaction that did nothing but cost its gas."""
    shares = equal_parts(gas, len(intent.refs))
    return outcomes_of(
        intent,
        receipt,
        [Found(status=status, realised=gas_only(one), detail=detail) for one in shares],
    )


def outcomes_of(intent: Intent, receipt: Receipt, found: Sequence[Found]) -> Outcome:
    """Return the outcome of each account, the first with the others."""
    ids = (intent.plan_id, *(one.plan_id for one in intent.companions))
    gas = equal_parts(receipt.gas_used, len(ids))
    first, *others = (
        Outcome(
            plan_id=plan_id,
            status=one.status,
            tx_hash=receipt.tx_hash,
            block=receipt.block_number,
            gas_used=gas_used,
            realised=one.realised,
            liquidations=one.liquidations,
            detail=one.detail,
            block_hash=receipt.block_hash,
        )
        for plan_id, one, gas_used in zip(ids, found, gas, strict=True)
    )
    return replace(first, companions=tuple(others))


def dropped(intent: Intent, detail: str) -> Outcome:
    """Return the outcome of an intent of which nothing ran."""
    outcome = Outcome(
        plan_id=intent.plan_id,
        status=Status.DROPPED,
        tx_hash=intent.submission.tx_hash if intent.submission else None,
        block=None,
        gas_used=0,
        realised=gas_only(0),
        liquidations=(),
        detail=detail,
    )
    others = (replace(outcome, plan_id=one.plan_id) for one in intent.companions)
    return replace(outcome, companions=tuple(others))
