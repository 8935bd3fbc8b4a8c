"""What logs say: who and what changed, and the liquidations among them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from keeper.core.chain import Log, LogFilter
from keeper.core.lending import AccountRef, Liquidation, Touched
from keeper.core.units import Address, Hash32, address_of_word
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.discovery import announced, authorised, created, users_of
from keeper.protocols.morpho_blue.parameters import Parameters
from keeper.protocols.morpho_blue.state import MorphoMarket

ACCOUNTS: Final[Mapping[Hash32, int]] = {
    codec.BORROW_EVENT: 2,
    codec.REPAY_EVENT: 3,
    codec.SUPPLY_COLLATERAL_EVENT: 3,
    codec.WITHDRAW_COLLATERAL_EVENT: 2,
    codec.LIQUIDATE_EVENT: 3,
}
"""Event to the topic that names the account whose position it changed."""

MARKETS: Final = frozenset(
    (
        *ACCOUNTS,
        codec.SUPPLY_EVENT,
        codec.WITHDRAW_EVENT,
        codec.ACCRUE_INTEREST_EVENT,
        codec.SET_FEE_EVENT,
    )
)
"""Events that change the market that their first topic names."""

_MORPHO_TOPICS: Final = frozenset((*MARKETS, codec.CREATE_MARKET))
_EARLY_TOPICS: Final = frozenset(
    (codec.SET_AUTHORIZATION_EVENT, codec.CREATE_PRE_LIQUIDATION, codec.PRE_LIQUIDATE_EVENT)
)


def discovery_filter(market: MorphoMarket) -> LogFilter:
    """Return the logs that name every borrower, and whoever may be liquidated early."""
    topics = {codec.BORROW_EVENT}
    if market.pre_liquidations:
        topics.add(codec.SET_AUTHORIZATION_EVENT)
    return LogFilter(addresses=frozenset((market.morpho,)), topics=frozenset(topics))


def opening_filter(market: MorphoMarket) -> LogFilter:
    """Return the logs that announce markets and authorisations."""
    topics = {codec.CREATE_MARKET, codec.SET_AUTHORIZATION_EVENT}
    return LogFilter(addresses=frozenset((market.morpho,)), topics=frozenset(topics))


def opened(market: MorphoMarket, logs: Sequence[Log]) -> frozenset[str]:
    """Return the markets that such logs announce, and what all its users authorised in them."""
    users = users_of(authorised(logs), market.pre_liquidations)
    early = market.pre_liquidations.items()
    begun = {key for key, one in early if one.users <= users.get(one.address, frozenset())}
    return frozenset(key for key, _ in created(logs)) | begun


def log_filter(market: MorphoMarket) -> LogFilter:
    """Return the logs that change accounts or markets; Morpho's are of all its markets."""
    early = [one.address for one in market.pre_liquidations.values()]
    addresses = frozenset((market.morpho, *market.factories, *early))
    topics = _MORPHO_TOPICS | (_EARLY_TOPICS if market.factories else frozenset())
    return LogFilter(addresses=addresses, topics=topics)


def touched(market: MorphoMarket, parameters: Parameters, logs: Sequence[Log]) -> Touched:
    """Return whom and what the logs changed; those of markets not followed change nothing."""
    new = set(announced(log for log in logs if log.address in market.factories))
    agents = new.union(market.pre_liquidations, market.dormant)
    accounts: set[AccountRef] = set()
    parts: set[str] = set(new)
    for log in logs:
        first = log.topics[0] if log.topics else None
        if log.address != market.morpho or first is None:
            continue
        if first == codec.CREATE_MARKET:
            parts.update(key for key, one in created((log,)) if parameters.wants(key, one))
        elif first == codec.SET_AUTHORIZATION_EVENT:
            found = [pair for pair in authorised((log,)) if pair[0] in agents]
            parts.update(agent for agent, _ in found)
            accounts.update(AccountRef(market=agent, account=one) for agent, one in found)
        elif first in MARKETS and log.topics[1] in market.markets:
            parts.add(log.topics[1])
            accounts.update(_named(market, log))
    return Touched(accounts=frozenset(accounts), parts=frozenset(parts))


def liquidations(market: MorphoMarket, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
    """Return the liquidations of followed markets among the logs, early ones included."""
    found: list[Liquidation] = []
    for log in logs:
        first = log.topics[:1]
        if log.address == market.morpho and first == (codec.LIQUIDATE_EVENT,):
            found += _liquidation(market, log, log.topics[1])
        elif log.address in market.pre_liquidations and first == (codec.PRE_LIQUIDATE_EVENT,):
            found += _liquidation(market, log, log.address)
    return tuple(found)


def _liquidation(market: MorphoMarket, log: Log, key: str) -> Iterator[Liquidation]:
    """Yield the liquidation that a log tells; both events have the same leading fields."""
    isolated = market.market_of(key)
    if isolated is None:
        return
    yield Liquidation(
        ref=AccountRef(market=key, account=address_of_word(log.topics[3])),
        collateral=isolated.collateral.address,
        debt=isolated.loan.address,
        liquidator=address_of_word(log.topics[2]),
        repaid=codec.word_at(log, 0),
        seized=codec.word_at(log, 2),
        protocol_fee=0,
        tx_hash=log.tx_hash,
        log=log,
    )


def _named(market: MorphoMarket, log: Log) -> Iterator[AccountRef]:
    """Yield every place where the account of a log has its position."""
    position = ACCOUNTS.get(log.topics[0])
    if position is not None:
        yield from refs_in(market, log.topics[1], address_of_word(log.topics[position]))


def refs_in(market: MorphoMarket, key: str, account: Address) -> Iterator[AccountRef]:
    """Yield an account in a market, and in each pre-liquidation contract that it authorised."""
    for name in (key, *market.early_of(key, account)):
        yield AccountRef(market=name, account=account)
