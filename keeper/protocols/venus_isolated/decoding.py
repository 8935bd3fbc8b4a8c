"""The liquidations and healings in a transaction's logs.

The seized market tells the protocol's part in underlying, and to whom the other cTokens went; what
those came to is told by their redemption.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from keeper.core.chain import Log
from keeper.core.lending import AccountRef, Liquidation
from keeper.core.units import Address, address_of_word
from keeper.core.values import replace
from keeper.evm.words import int_at
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.compound_v2 import rules
from keeper.protocols.venus_isolated import codec
from keeper.protocols.venus_isolated.state import Deployment, Market

_TOPICS = {family.LIQUIDATE_BORROW: 4, codec.HEALED: 3, codec.PROTOCOL_SEIZED: 3}


class _Seizure(NamedTuple):
    market: Market
    borrower: Address
    kept: int
    """Underlying that the protocol took."""
    at: int
    """Place among the logs."""


class _Repaid(NamedTuple):
    """What a log says was repaid, by whom and for whom; or what it would, had anything been."""

    log: Log
    debt: Market
    liquidator: Address
    borrower: Address
    amount: int


def liquidations(market: Deployment, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
    """Return the liquidations among the logs, counted in the collateral's underlying.

    Healing an account of several collaterals and debts is several, of which one that is left over
    stands alone: it repays nothing, or seizes nothing.
    """
    seizures = list(_seizures(market, logs))
    found = []
    for at, log in enumerate(logs):
        if _is(market, log, family.LIQUIDATE_BORROW):
            repaid = _repaid(market, log)
            mine = _of(seizures, repaid, at, logs)
            if mine is not None:
                seizures.remove(mine)
                found.append(_liquidation(market, repaid, mine, logs))
    found += _healings(market, seizures, logs)
    return tuple(sorted(found, key=lambda one: one.log.index))


def _repaid(market: Deployment, log: Log) -> _Repaid:
    liquidator, borrower = (address_of_word(word) for word in log.topics[1:3])
    return _Repaid(
        log=log,
        debt=market.markets[market.numbers[log.address]],
        liquidator=liquidator,
        borrower=borrower,
        amount=int_at(log.data, 0),
    )


def _seizures(market: Deployment, logs: Sequence[Log]) -> Iterator[_Seizure]:
    for at, log in enumerate(logs):
        if _is(market, log, codec.PROTOCOL_SEIZED):
            yield _Seizure(
                market=market.markets[market.numbers[log.address]],
                borrower=address_of_word(log.topics[1]),
                kept=int_at(log.data, 0),
                at=at,
            )


def _is(market: Deployment, log: Log, topic: str) -> bool:
    known = log.address in market.numbers and log.topics[:1] == (topic,)
    return known and len(log.topics) == _TOPICS[log.topics[0]]


def _of(
    seizures: Iterable[_Seizure], repaid: _Repaid, at: int, logs: Sequence[Log]
) -> _Seizure | None:
    """Return the seizure of a liquidation: the last of its collateral before it."""
    token = address_of_word(repaid.log.topics[3])
    before = [
        one
        for one in seizures
        if one.at < at
        and (one.borrower, one.market.token) == (repaid.borrower, token)
        and logs[one.at].tx_hash == repaid.log.tx_hash
    ]
    return before[-1] if before else None


def _healings(
    market: Deployment, seizures: Iterable[_Seizure], logs: Sequence[Log]
) -> Iterator[Liquidation]:
    """Yield each healed account's debts beside its collaterals, in the order of the logs.

    Healing goes from market to market, and may come to a debt before it comes to any collateral.
    """
    healed: dict[tuple[str, Address], list[_Repaid]] = {}
    for log in logs:
        if _is(market, log, codec.HEALED) and int_at(log.data, 0):
            one = _repaid(market, log)
            healed.setdefault((log.tx_hash, one.borrower), []).append(one)
    for (tx_hash, borrower), debts in healed.items():
        taken = [s for s in seizures if (logs[s.at].tx_hash, s.borrower) == (tx_hash, borrower)]
        for number in range(max(len(debts), len(taken)) if taken else 0):
            yield _healing(market, debts, taken, number, logs)


def _healing(
    market: Deployment,
    debts: Sequence[_Repaid],
    taken: Sequence[_Seizure],
    number: int,
    logs: Sequence[Log],
) -> Liquidation:
    """Return one debt with one collateral; where one is wanting, nothing of the last of them."""
    seizure = taken[min(number, len(taken) - 1)]
    repaid = debts[min(number, len(debts) - 1)]
    if number >= len(debts):
        repaid = repaid._replace(amount=0, log=logs[seizure.at])
    found = _liquidation(market, repaid, seizure, logs)
    return found if number < len(taken) else replace(found, seized=0, protocol_fee=0)


def _liquidation(
    market: Deployment, repaid: _Repaid, seizure: _Seizure, logs: Sequence[Log]
) -> Liquidation:
    received, slack = _received(market, seizure, repaid.liquidator, logs)
    return Liquidation(
        ref=AccountRef(market=repaid.debt.comptroller, account=repaid.borrower),
        collateral=seizure.market.asset,
        debt=repaid.debt.asset,
        liquidator=repaid.liquidator,
        repaid=repaid.amount,
        seized=seizure.kept + received,
        protocol_fee=seizure.kept,
        tx_hash=repaid.log.tx_hash,
        log=repaid.log,
        slack=slack,
    )


def _received(
    market: Deployment, seizure: _Seizure, liquidator: Address, logs: Sequence[Log]
) -> tuple[int, int]:
    """Return what the liquidator's cTokens were redeemed for, or would be at the known rate.

    Of what it redeemed along with others it is a part, which may be off by one as it was rounded
    as a whole: the second figure.
    """
    tokens, along = _handed_over(seizure, liquidator, logs), None
    for log in logs[seizure.at + 1 :]:
        if log.address != seizure.market.token or log.tx_hash != logs[seizure.at].tx_hash:
            continue
        if log.topics[:1] != (codec.REDEEMED,) or len(log.topics) == 1:
            continue
        if address_of_word(log.topics[1]) != liquidator:
            continue
        whole, redeemed = int_at(log.data, 0), int_at(log.data, 1)
        if redeemed == tokens:
            return whole, 0
        if along is None and redeemed > tokens:
            along = whole * tokens // redeemed
    if along is not None:
        return along, 1
    return rules.redeemed(tokens, market.lines[seizure.market.number].stored_rate), 0


def _handed_over(seizure: _Seizure, liquidator: Address, logs: Sequence[Log]) -> int:
    """Return the cTokens that the liquidator was handed: told just before the protocol's part."""
    for log in reversed(logs[: seizure.at]):
        if log.address == seizure.market.token and log.topics[:1] == (family.TRANSFER,):
            source, target = (address_of_word(word) for word in log.topics[1:3])
            if (source, target) == (seizure.borrower, liquidator):
                return int_at(log.data, 0)
    return 0
