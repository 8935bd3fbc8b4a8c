"""The liquidations and healings in a transaction's logs.

The seized market tells the protocol's part in underlying, and to whom the other cTokens went; what
those came to is told by their redemption.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from keeper.core.chain import Log
from keeper.core.lending import AccountRef, Liquidation
from keeper.core.units import Address, address_of_word
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


def liquidations(market: Deployment, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
    """Return the liquidations among the logs, counted in the collateral's underlying."""
    seizures = list(_seizures(market, logs))
    found = []
    for at, log in enumerate(logs):
        if not _is(market, log, family.LIQUIDATE_BORROW) and not _is(market, log, codec.HEALED):
            continue
        mine = _of(seizures, log, at, logs)
        if mine is not None:
            seizures.remove(mine)
            found.append(_liquidation(market, log, mine, logs))
    return tuple(found)


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


def _of(seizures: Iterable[_Seizure], log: Log, at: int, logs: Sequence[Log]) -> _Seizure | None:
    """Return the seizure of a liquidation: the last before it; of a healing, any of the account.

    Healing goes from market to market, and may come to the debt before it comes to the collateral.
    """
    borrower = address_of_word(log.topics[2])
    same = [s for s in seizures if s.borrower == borrower and logs[s.at].tx_hash == log.tx_hash]
    if log.topics[0] == codec.HEALED:
        return same[0] if same and int_at(log.data, 0) else None
    token = address_of_word(log.topics[3])
    before = [s for s in same if s.at < at and s.market.token == token]
    return before[-1] if before else None


def _liquidation(
    market: Deployment, log: Log, seizure: _Seizure, logs: Sequence[Log]
) -> Liquidation:
    debt = market.markets[market.numbers[log.address]]
    liquidator = address_of_word(log.topics[1])
    received = _received(market, seizure, liquidator, logs)
    return Liquidation(
        ref=AccountRef(market=debt.comptroller, account=seizure.borrower),
        collateral=seizure.market.asset,
        debt=debt.asset,
        liquidator=liquidator,
        repaid=int_at(log.data, 0),
        seized=seizure.kept + received,
        protocol_fee=seizure.kept,
        tx_hash=log.tx_hash,
        log=log,
    )


def _received(
    market: Deployment, seizure: _Seizure, liquidator: Address, logs: Sequence[Log]
) -> int:
    """Return what the liquidator's cTokens were redeemed for, or would be at the known rate."""
    tokens = _handed_over(seizure, liquidator, logs)
    for log in logs[seizure.at + 1 :]:
        if log.address != seizure.market.token or log.tx_hash != logs[seizure.at].tx_hash:
            continue
        if log.topics[:1] != (codec.REDEEMED,) or len(log.topics) == 1:
            continue
        if (address_of_word(log.topics[1]), int_at(log.data, 1)) == (liquidator, tokens):
            return int_at(log.data, 0)
    return rules.redeemed(tokens, market.lines[seizure.market.number].stored_rate)


def _handed_over(seizure: _Seizure, liquidator: Address, logs: Sequence[Log]) -> int:
    """Return the cTokens that the liquidator was handed: told just before the protocol's part."""
    for log in reversed(logs[: seizure.at]):
        if log.address == seizure.market.token and log.topics[:1] == (family.TRANSFER,):
            source, target = (address_of_word(word) for word in log.topics[1:3])
            if (source, target) == (seizure.borrower, liquidator):
                return int_at(log.data, 0)
    return 0
