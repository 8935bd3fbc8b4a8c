"""Markets: read whole, or only what transactions move."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.erc20 import DECIMALS, SYMBOL, symbol_of
from keeper.evm.words import address_at, ask, ask_address, int_at, word_of_address, word_of_int
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.compound_v2.asking import Asking
from keeper.protocols.compound_v2.rules import Stored
from keeper.protocols.venus_isolated import codec
from keeper.protocols.venus_isolated.state import Action, Market

_ACTIONS = tuple(Action)
_THRESHOLD_WORD = 2
_FIXED = (family.UNDERLYING, codec.RATE_MODEL, family.SEIZE_SHARE)
_MOVING = (
    family.GET_CASH,
    family.TOTAL_BORROWS,
    family.TOTAL_RESERVES,
    family.BORROW_INDEX,
    family.TOTAL_SUPPLY,
    codec.BAD_DEBT,
    family.RESERVE_FACTOR,
    family.EXCHANGE_RATE_STORED,
    family.RATE_PER_BLOCK,
    family.ACCRUED_AT_BLOCK,
)
"""The last two are by the second where the market is: their names are not."""


async def read_markets(
    asking: Asking, tokens: Mapping[Address, Address], numbers: Mapping[Address, int]
) -> dict[int, Market]:
    """Read markets by their numbers, given their Comptrollers by vToken."""
    calls = [ask(one, function) for one in tokens for function in _FIXED]
    fixed = await asking.all(calls, "markets")
    assets = [address_at(data, 0) for data in fixed[:: len(_FIXED)]]
    symbols = await asking.maybe([ask(one, SYMBOL) for one in assets])
    decimals = await asking.all([ask(one, DECIMALS) for one in assets], "decimals")
    risks = await _risks(asking, tokens)
    paused = await _pauses(asking, tokens)
    tracked = await asking.maybe([ask(one, family.INTERNAL_CASH) for one in tokens])
    bare = [
        Market(
            number=numbers[token],
            token=token,
            comptroller=comptroller,
            asset=assets[place],
            symbol=symbol_of(symbols[place] or b"", assets[place]),
            unit=10 ** int_at(decimals[place], 0),
            rate_model=address_at(fixed[len(_FIXED) * place + 1], 0),
            listed=risks[place].listed,
            threshold=risks[place].threshold,
            paused=paused[place],
            forced=risks[place].forced,
            seize_share=int_at(fixed[len(_FIXED) * place + 2], 0),
            cash_is_balance=tracked[place] is None,
        )
        for place, (token, comptroller) in enumerate(tokens.items())
    ]
    return {one.number: one for one in await refresh_markets(asking, bare)}


async def refresh_markets(asking: Asking, markets: Sequence[Market]) -> list[Market]:
    """Read again what moves of markets that are already known."""
    calls = [ask(one.token, function) for one in markets for function in _MOVING]
    words = [int_at(data, 0) for data in await asking.all(calls, "markets")]
    size = len(_MOVING)
    return [_moved(one, words[size * i : size * (i + 1)]) for i, one in enumerate(markets)]


def _moved(market: Market, words: Sequence[int]) -> Market:
    """Take the answers to ``_MOVING`` in their order."""
    cash, borrows, reserves, index, supply, bad_debt, factor, exchange, rate, accrued_at = words
    return replace(
        market,
        stored=Stored(cash=cash, borrows=borrows, reserves=reserves, index=index, supply=supply),
        bad_debt=bad_debt,
        reserve_factor=factor,
        initial_rate=exchange if supply == 0 else market.initial_rate,
        rate=rate,
        accrued_at=accrued_at,
    )


class _Risk(NamedTuple):
    listed: bool
    threshold: int
    forced: bool


async def _risks(asking: Asking, tokens: Mapping[Address, Address]) -> list[_Risk]:
    """Read how each market is judged, and whether its debts are forced."""
    calls = [ask_address(comptroller, family.MARKETS, one) for one, comptroller in tokens.items()]
    judged = await asking.all(calls, "markets")
    calls = [ask_address(comptroller, family.IS_FORCED, one) for one, comptroller in tokens.items()]
    forced = [data is not None and int_at(data, 0) == 1 for data in await asking.maybe(calls)]
    return [
        _Risk(int_at(data, 0) == 1, int_at(data, _THRESHOLD_WORD), is_forced)
        for data, is_forced in zip(judged, forced, strict=True)
    ]


async def _pauses(asking: Asking, tokens: Mapping[Address, Address]) -> list[frozenset[Action]]:
    calls = [
        ask(comptroller, family.ACTION_PAUSED, word_of_address(token), word_of_int(action))
        for token, comptroller in tokens.items()
        for action in _ACTIONS
    ]
    answers = [int_at(data, 0) == 1 for data in await asking.all(calls, "pauses")]
    size = len(_ACTIONS)
    return [
        frozenset(
            action
            for action, is_paused in zip(_ACTIONS, answers[i : i + size], strict=True)
            if is_paused
        )
        for i in range(0, len(answers), size)
    ]
