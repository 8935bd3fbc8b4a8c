"""Find the markets and the pre-liquidation contracts that a deployment follows."""

from collections.abc import Collection, Iterable

from keeper.core.chain import Log, LogFilter
from keeper.core.errors import ConfigError
from keeper.core.units import Address, Hash32, address_of_word
from keeper.evm.words import WORD, address_at, ask, word_of_address
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.asking import Asking, is_word
from keeper.protocols.morpho_blue.parameters import Parameters
from keeper.protocols.morpho_blue.state import IsolatedMarket, MarketParams

_PARAM_WORDS = 5
_AUTHORIZER, _AUTHORIZED = 2, 3
_NO_MARKET = f"0x{0:064x}"


async def require_contracts(asking: Asking, parameters: Parameters) -> None:
    """Raise ConfigError unless the contracts are Morpho Blue and factories for it.

    Any other contract logs none of their events, which would look like a deployment without loans.
    """
    factories = parameters.pre_liquidation_factories
    nothing = codec.ask_market(parameters.morpho, codec.ID_TO_MARKET_PARAMS, _NO_MARKET)
    calls = [nothing, *(ask(one, codec.FACTORY_MORPHO) for one in factories)]
    first, *others = await asking.each(calls)
    if not first.success or len(first.data) != _PARAM_WORDS * WORD:
        expected = f"expected Morpho Blue at {parameters.morpho}"
        found = "found a contract that knows no idToMarketParams"
        raise ConfigError(f"{asking.deployment}: parameters.morpho: {expected}, {found}")
    for number, (factory, answer) in enumerate(zip(factories, others, strict=True)):
        if not is_word(answer) or address_at(answer.data, 0) != parameters.morpho:
            key = f"parameters.pre_liquidation_factories.{number}"
            expected = f"expected a factory at {factory} whose MORPHO() is {parameters.morpho}"
            found = address_at(answer.data, 0) if is_word(answer) else "none"
            raise ConfigError(f"{asking.deployment}: {key}: {expected}, found {found}")


async def find_markets(
    asking: Asking, parameters: Parameters, start_block: int
) -> dict[str, MarketParams]:
    """Return the markets that pass the filters, from the allow-list or the logs.

    Raises ConfigError when a listed market does not exist.
    """
    if parameters.markets:
        found = await params_of(asking, parameters.morpho, parameters.markets)
        missing = sorted(set(parameters.markets) - found.keys())
        if missing:
            msg = f"{asking.deployment}: parameters.markets: expected a market {missing[0]}"
            raise ConfigError(f"{msg} at {parameters.morpho}, found none")
    else:
        wanted = LogFilter(
            addresses=frozenset((parameters.morpho,)), topics=frozenset((codec.CREATE_MARKET,))
        )
        last = asking.block.number
        logs = await asking.reader.logs_between(wanted, start_block, last)
        found = dict(created(logs))
    return {key: params for key, params in found.items() if parameters.wants(key, params)}


def created(logs: Iterable[Log]) -> Iterable[tuple[str, MarketParams]]:
    """Yield the markets that logs announce, where their id is that of their parameters."""
    for log in logs:
        if log.topics[:1] != (codec.CREATE_MARKET,) or len(log.data) < _PARAM_WORDS * WORD:
            continue
        params = codec.params_at(log.data, 0)
        key = codec.id_of(params)
        if log.topics[1:2] == (key,):
            yield key, params


async def params_of(
    asking: Asking, morpho: Address, keys: Collection[str]
) -> dict[str, MarketParams]:
    """Return the parameters of the markets that exist."""
    ordered = sorted(keys)
    calls = [codec.ask_market(morpho, codec.ID_TO_MARKET_PARAMS, key) for key in ordered]
    answers = await asking.all(calls, "parameters.morpho", _PARAM_WORDS)
    found = {key: codec.params_at(one, 0) for key, one in zip(ordered, answers, strict=True)}
    return {key: params for key, params in found.items() if codec.id_of(params) == key}


async def find_early(
    asking: Asking, parameters: Parameters, start_block: int
) -> tuple[Address, ...]:
    """Return the pre-liquidation contracts that the factories announced."""
    if not parameters.pre_liquidation_factories:
        return ()
    wanted = LogFilter(
        addresses=frozenset(parameters.pre_liquidation_factories),
        topics=frozenset((codec.CREATE_PRE_LIQUIDATION,)),
    )
    logs = await asking.reader.logs_between(wanted, start_block, asking.block.number)
    return tuple(announced(logs))


def announced(logs: Iterable[Log]) -> Iterable[Address]:
    """Yield the pre-liquidation contracts that a factory's logs announce."""
    for log in logs:
        if log.topics[:1] == (codec.CREATE_PRE_LIQUIDATION,) and len(log.topics) > 1:
            yield address_of_word(log.topics[1])


async def find_users(
    asking: Asking, parameters: Parameters, agents: Collection[Address], start_block: int
) -> dict[Address, frozenset[Address]]:
    """Return who ever authorised each of some contracts; one that nobody did is not in it."""
    if not agents:
        return {}
    wanted = LogFilter(
        addresses=frozenset((parameters.morpho,)),
        topics=frozenset((codec.SET_AUTHORIZATION_EVENT,)),
        third=frozenset(Hash32("0x" + word_of_address(one).hex()) for one in agents),
    )
    logs = await asking.reader.logs_between(wanted, start_block, asking.block.number)
    return users_of(authorised(logs), agents)


def users_of(
    pairs: Iterable[tuple[Address, Address]], agents: Collection[str]
) -> dict[Address, frozenset[Address]]:
    """Return the accounts of each of some contracts, from pairs of the two."""
    found: dict[Address, set[Address]] = {}
    for agent, account in pairs:
        if agent in agents:
            found.setdefault(agent, set()).add(account)
    return {agent: frozenset(accounts) for agent, accounts in found.items()}


def authorised(logs: Iterable[Log]) -> Iterable[tuple[Address, Address]]:
    """Yield who was authorised or not any more, and by whom, as Morpho's logs say."""
    for log in logs:
        if log.topics[:1] == (codec.SET_AUTHORIZATION_EVENT,) and len(log.topics) > _AUTHORIZED:
            account = address_of_word(log.topics[_AUTHORIZER])
            yield address_of_word(log.topics[_AUTHORIZED]), account


def is_large(market: IsolatedMarket, parameters: Parameters) -> bool:
    """Return whether a market owes as much as the filter asks for."""
    return market.totals.borrow_assets >= parameters.min_borrowed * market.loan.unit
