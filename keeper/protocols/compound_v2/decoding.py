"""The liquidations in a transaction's logs.

A market tells what was repaid and how many cTokens were seized. Whose they are and what they are
worth is told by the logs after it: Venus's Liquidator passes them on less the treasury's part,
and the liquidator redeems its own.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import Log
from keeper.core.lending import AccountRef, Liquidation
from keeper.core.units import Address, Hash32, address_of_word
from keeper.evm.words import address_at, int_at
from keeper.protocols.compound_v2 import codec, rules
from keeper.protocols.compound_v2.state import Deployment, Market

ROUNDED: Final = 4
"""Raw units by which a part of a redemption may be off: it was rounded as a whole, and so were the
fee out of it and what follows from both."""


class _Redeemed(Struct, frozen=True, kw_only=True):
    """What the liquidator's cTokens came to, raw units of the underlying."""

    whole: int
    fee: int
    """Kept out of that by the protocol."""
    slack: int = 0


class _Seized(Struct, frozen=True, kw_only=True):
    """One ``LiquidateBorrow``, with what is found out of it."""

    log: Log
    debt: Address
    """The asset."""
    collateral: Market
    borrower: Address
    liquidator: Address
    repaid: int
    tokens: int
    """Taken from the borrower."""
    theirs: int
    """Of them, not the liquidator's."""


def liquidations(market: Deployment, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
    """Return the liquidations among the logs, counted in the collateral's underlying.

    The rate is that at which the liquidator redeemed them, if with others that it had; when it kept
    its cTokens, the known one.
    """
    found = []
    for position, log in enumerate(logs):
        debt = _repaid_asset(market, log)
        if debt is not None:
            after = [one for one in logs[position + 1 :] if one.tx_hash == log.tx_hash]
            seized = _seized(market, debt, log, after)
            if seized is not None:
                found.append(_liquidation(market, seized, after))
    return tuple(found)


def _repaid_asset(market: Deployment, log: Log) -> Address | None:
    """Return the asset that a liquidation repaid, None of a log that is of none.

    VAI's controller tells it in the words of a market.
    """
    number = market.numbers.get(log.address)
    if number is not None and log.topics[:1] == (codec.LIQUIDATE_BORROW,):
        return market.markets[number].asset
    vai = market.vai
    if vai is None or log.address != vai.controller or log.topics[:1] != (codec.VAI_LIQUIDATED,):
        return None
    return vai.token


def _seized(market: Deployment, debt: Address, log: Log, after: Sequence[Log]) -> _Seized | None:
    token = address_at(log.data, 3)
    if token not in market.numbers:
        return None
    collateral = market.markets[market.numbers[token]]
    borrower, tokens = address_at(log.data, 1), int_at(log.data, 4)
    liquidator, theirs, repaid = address_at(log.data, 0), 0, int_at(log.data, 2)
    if market.liquidator is not None and liquidator == market.liquidator.address:
        liquidator, theirs, repaid = _passed_on(liquidator, log, after)
    elif collateral.seize_share:
        theirs = rules.protocol_share(tokens, collateral.seize_share)
    return _Seized(
        log=log,
        debt=debt,
        collateral=collateral,
        borrower=borrower,
        liquidator=liquidator,
        repaid=repaid,
        tokens=tokens,
        theirs=theirs,
    )


def _passed_on(through: Address, seizure: Log, after: Iterable[Log]) -> tuple[Address, int, int]:
    """Return who liquidated through Venus's Liquidator, the treasury's cTokens, and what was paid.

    The Liquidator takes the whole offer; of one of VAI its controller leaves a few raw units.
    """
    wanted = (address_at(seizure.data, 1), address_at(seizure.data, 3))
    for log in after:
        if log.address != through or log.topics[:1] != (codec.LIQUIDATED_THROUGH,):
            continue
        who, *found = (address_of_word(word) for word in log.topics[1:4])
        if tuple(found) == wanted:
            return who, int_at(log.data, 2), int_at(log.data, 0)
    return through, 0, int_at(seizure.data, 2)


def _liquidation(market: Deployment, seized: _Seized, after: Sequence[Log]) -> Liquidation:
    ours = seized.tokens - seized.theirs
    redeemed = _redeemed(market, seized, after, ours)
    gross = seized.tokens * redeemed.whole // ours if ours else 0
    return Liquidation(
        ref=AccountRef(market=market.comptroller, account=seized.borrower),
        collateral=seized.collateral.asset,
        debt=seized.debt,
        liquidator=seized.liquidator,
        repaid=seized.repaid,
        seized=gross,
        protocol_fee=gross - (redeemed.whole - redeemed.fee),
        tx_hash=seized.log.tx_hash,
        log=seized.log,
        slack=redeemed.slack,
    )


def _redeemed(market: Deployment, seized: _Seized, after: Iterable[Log], ours: int) -> _Redeemed:
    """Return what the liquidator's cTokens came to: alone, else as a part of what it redeemed."""
    fee, along = 0, None
    for log in after:
        if log.address != seized.collateral.token or not log.topics:
            continue
        if not _is_by(log, seized.liquidator):
            continue
        if log.topics[0] == codec.REDEEM_FEE:
            fee = int_at(log.data, 1)
            continue
        whole, tokens = int_at(log.data, 1) + fee, int_at(log.data, 2)
        if tokens == ours:
            return _Redeemed(whole=whole, fee=fee)
        if along is None and tokens > ours:
            along = _Redeemed(whole=whole * ours // tokens, fee=fee * ours // tokens, slack=ROUNDED)
    rate = market.lines[seized.collateral.number].stored_rate
    return along or _Redeemed(whole=rules.redeemed(ours, rate), fee=0)


def _is_by(log: Log, account: Address) -> bool:
    """Return whether the account in the first word of data is that one."""
    first: Hash32 = log.topics[0]
    wanted = first == codec.REDEEM_FEE or first in codec.REDEEMED
    return wanted and address_at(log.data, 0) == account
