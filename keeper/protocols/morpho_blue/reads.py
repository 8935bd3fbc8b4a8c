"""Read a deployment, whole or only the markets that were touched."""

from collections.abc import Collection, Mapping

from keeper.core.lending import Touched
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.core.values import replace
from keeper.evm.erc20 import DECIMALS, SYMBOL, symbol_of
from keeper.evm.words import ask, int_at
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.asking import Asking, is_word
from keeper.protocols.morpho_blue.discovery import (
    find_early,
    find_markets,
    find_users,
    is_large,
    params_of,
    require_contracts,
    users_of,
)
from keeper.protocols.morpho_blue.health import view_at
from keeper.protocols.morpho_blue.models import recognise, stored_call
from keeper.protocols.morpho_blue.oracles import read_oracles
from keeper.protocols.morpho_blue.parameters import Parameters
from keeper.protocols.morpho_blue.state import (
    IsolatedMarket,
    MarketParams,
    MorphoMarket,
    PreLiquidation,
    Token,
)

_MARKET_WORDS = 6
_MOST_DECIMALS = 36


async def read_whole(asking: Asking, parameters: Parameters, start_block: int) -> MorphoMarket:
    """Read every followed market. Raises ConfigError when a contract is another than it should."""
    await require_contracts(asking, parameters)
    wanted = await find_markets(asking, parameters, start_block)
    markets = await read_markets(asking, parameters.morpho, wanted)
    large = {key: one for key, one in markets.items() if is_large(one, parameters)}
    announced = await find_early(asking, parameters, start_block)
    users = await find_users(asking, parameters, announced, start_block)
    market = MorphoMarket(
        morpho=parameters.morpho,
        factories=parameters.pre_liquidation_factories,
        markets=large,
        pre_liquidations=await read_early(asking, users, large),
        dormant=frozenset(announced) - users.keys(),
        block=asking.block.number,
        timestamp=asking.block.timestamp,
    )
    return view_at(market, asking.block.timestamp, {})


async def read_again(
    asking: Asking, parameters: Parameters, previous: MorphoMarket, touched: Touched
) -> MorphoMarket:
    """Read the touched markets again, and the new ones from their parameters."""
    agents = {Address(part) for part in touched.parts if len(part) == len(ZERO_ADDRESS)}
    keys = touched.parts - agents
    known = {key: previous.markets[key] for key in sorted(keys) if key in previous.markets}
    fresh = await _refresh(asking, previous.morpho, known)
    new_keys = keys - known.keys()
    found = await params_of(asking, previous.morpho, new_keys) if new_keys else {}
    new = {key: params for key, params in found.items() if parameters.wants(key, params)}
    fresh |= await read_markets(asking, previous.morpho, new)
    gone = known.keys() - fresh.keys()
    kept = {key: one for key, one in previous.markets.items() if key not in gone}
    markets = kept | fresh
    users = users_of(((Address(ref.market), ref.account) for ref in touched.accounts), agents)
    moved = replace(
        previous,
        markets=markets,
        pre_liquidations=await _with_users(asking, previous, users, markets),
        dormant=previous.dormant.union(agents - previous.pre_liquidations.keys()) - users.keys(),
        block=asking.block.number,
        timestamp=asking.block.timestamp,
    )
    return view_at(moved, asking.block.timestamp, {})


async def read_markets(
    asking: Asking, morpho: Address, wanted: Mapping[str, MarketParams]
) -> dict[str, IsolatedMarket]:
    """Read markets from their parameters; one whose tokens have no decimals is left out.

    They stay in the order in which they were created: what several share is named by the oldest.
    """
    keys = list(wanted)
    calls = [codec.ask_market(morpho, codec.MARKET, key) for key in keys]
    states = await asking.all(calls, "markets", _MARKET_WORDS)
    rows = [(key, wanted[key], data) for key, data in zip(keys, states, strict=True)]
    models = await recognise(asking, rows)
    params = wanted.values()
    tokens = await _tokens(asking, {t for one in params for t in (one.loan, one.collateral)})
    oracles = await read_oracles(asking, {one.oracle for one in params})
    found = {}
    for (key, one, data), (model, stored) in zip(rows, models, strict=True):
        if one.loan not in tokens or one.collateral not in tokens:
            continue
        totals, updated, fee = codec.totals_of(data)
        found[key] = IsolatedMarket(
            id=key,
            params=one,
            loan=tokens[one.loan],
            collateral=tokens[one.collateral],
            model=model,
            feeds=oracles[one.oracle].feeds,
            moves_by_time=oracles[one.oracle].moves_by_time,
            formula=oracles[one.oracle].formula,
            totals=totals,
            updated=updated,
            fee=fee,
            stored_rate=stored,
        )
    return found


async def _with_users(
    asking: Asking,
    previous: MorphoMarket,
    users: Mapping[Address, frozenset[Address]],
    markets: Mapping[str, IsolatedMarket],
) -> dict[str, PreLiquidation]:
    """Return the pre-liquidation contracts of markets with more users, and what is new of them."""
    kept = previous.pre_liquidations.items()
    early = {
        key: replace(one, users=one.users | users.get(one.address, frozenset()))
        for key, one in kept
        if one.market in markets
    }
    new = {one: accounts for one, accounts in users.items() if one not in early}
    return early | await read_early(asking, new, markets)


async def read_early(
    asking: Asking,
    users: Mapping[Address, frozenset[Address]],
    markets: Mapping[str, IsolatedMarket],
) -> dict[str, PreLiquidation]:
    """Read pre-liquidation contracts that have users, those of followed markets alone."""
    ordered = sorted(users)
    ids = await asking.each([ask(one, codec.PRE_ID) for one in ordered])
    terms = await asking.each([ask(one, codec.PRE_PARAMS) for one in ordered])
    found: dict[str, PreLiquidation] = {}
    for address, id_word, answer in zip(ordered, ids, terms, strict=True):
        key = "0x" + id_word.data.hex()
        if not (is_word(id_word) and answer.success) or key not in markets:
            continue
        factors, oracle = codec.pre_terms_of(answer.data)
        found[address] = PreLiquidation(
            address=address,
            market=key,
            terms=factors,
            oracle=oracle,
            feeds=(),
            users=users[address],
        )
    oracles = await read_oracles(asking, {one.oracle for one in found.values()})
    return {
        key: replace(
            one,
            feeds=oracles[one.oracle].feeds,
            moves_by_time=oracles[one.oracle].moves_by_time,
            formula=oracles[one.oracle].formula,
        )
        for key, one in found.items()
    }


async def _refresh(
    asking: Asking, morpho: Address, known: Mapping[str, IsolatedMarket]
) -> dict[str, IsolatedMarket]:
    """Read again what moves of markets that are known; drop those that a reorg took back."""
    calls = [codec.ask_market(morpho, codec.MARKET, key) for key in known]
    states = await asking.all(calls, "markets", _MARKET_WORDS)
    asked = {key: stored_call(one.model, key, one.params) for key, one in known.items()}
    stored = {key: call for key, call in asked.items() if call is not None}
    answers = await asking.all(list(stored.values()), "interest rate models")
    rates = {key: int_at(data, 0) for key, data in zip(stored, answers, strict=True)}
    fresh = {}
    for (key, one), data in zip(known.items(), states, strict=True):
        totals, updated, fee = codec.totals_of(data)
        if updated:
            fresh[key] = replace(
                one,
                totals=totals,
                updated=updated,
                fee=fee,
                stored_rate=rates.get(key, one.stored_rate),
            )
    return fresh


async def _tokens(asking: Asking, addresses: Collection[Address]) -> dict[Address, Token]:
    ordered = sorted(addresses)
    symbols = await asking.each([ask(one, SYMBOL) for one in ordered])
    decimals = await asking.each([ask(one, DECIMALS) for one in ordered])
    found = {}
    for address, symbol, places in zip(ordered, symbols, decimals, strict=True):
        if is_word(places) and int_at(places.data, 0) <= _MOST_DECIMALS:
            text = symbol_of(symbol.data if symbol.success else b"", address)
            unit = 10 ** int_at(places.data, 0)
            found[address] = Token(address=address, symbol=text, unit=unit)
    return found
