"""The budgets over all chains, from the configuration and what earlier runs left on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from keeper.config.chain_file import ChainSettings
from keeper.config.fleet import Fleet
from keeper.config.settings import Settings
from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError, TransientError
from keeper.core.ports import Reader
from keeper.core.units import WAD
from keeper.evm.erc20 import symbol_of
from keeper.evm.words import ask, selector
from keeper.executor.standing import DAY
from keeper.executor.totals import CoinPrice, PriceAt, Share, TotalLimits, Totals
from keeper.ledger.spending import read_spending
from keeper.oracle.chainlink import decode_round, round_call
from keeper.oracle.reference import ReferencePrices

OLDEST_ANSWER_S: Final = 90_000
"""A day and an hour: the slowest heartbeat of a native coin's feed, and patience for it."""

_DESCRIPTION: Final = selector("description()")


def totals_of(fleet: Fleet, now: Callable[[], float]) -> Totals:
    """Return the totals, with what each chain spent in the last day and has open still.

    No node is asked, so that a chain that cannot be reached counts as well. Raises ConfigError
    when a chain's database is not one.
    """
    limits = fleet.totals
    totals = Totals(
        TotalLimits(
            max_in_flight=limits.max_in_flight,
            max_gas_per_hour=_wad(limits.max_gas_per_hour_usd),
            max_gas_per_day=_wad(limits.max_gas_per_day_usd),
        ),
        now=now,
    )
    for one in fleet.chains:
        share = totals.share(one.chain.name)
        found = read_spending(one.database, since=int(now()) - DAY)
        if found is not None:
            share.recall(found.spent, at_stake=found.at_stake, open_=found.open_intents)
        share.price = _last_price(one.database)
    return totals


def _wad(dollars: int | None) -> int | None:
    return None if dollars is None else dollars * WAD


def price_reader(settings: Settings, share: Share, reader: Reader) -> PriceAt:
    """Return what reads the coin's price, and keeps it on disk for when the node is away."""
    chain = settings.chain
    reference = ReferencePrices(reader, {chain.wrapped_native: chain.native_feed})

    async def price_at(head: BlockRef) -> int | None:
        (answer,) = await reader.call_many([round_call(chain.native_feed)], head)
        round_ = decode_round(answer)
        if round_ is None or head.timestamp - round_.updated_at > OLDEST_ANSWER_S:
            return None
        value = (await reference.read(head)).get(chain.wrapped_native)
        if value is not None:
            _keep(settings.database, CoinPrice(value=value, read=share.now()))
        return value

    return price_at


async def require_dollars(chain: ChainSettings, path: Path, reader: Reader, head: BlockRef) -> None:
    """Raise ConfigError unless the native coin's feed says that it answers in US dollars."""
    (answer,) = await reader.call_many([ask(chain.native_feed, _DESCRIPTION)], head)
    found = symbol_of(answer.data, chain.native_feed) if answer.success else ""
    if not found.replace(" ", "").upper().endswith("/USD"):
        msg = f"{path}: native_feed: expected a feed in USD, as totals are, found {found!r}"
        raise ConfigError(msg)


def _price_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.coin.json")


def _keep(database: Path, price: CoinPrice) -> None:
    path = _price_file(database)
    draft = path.with_name(path.name + ".draft")
    try:
        draft.write_text(json.dumps({"usd": str(price.value), "read": price.read}) + "\n", "utf-8")
        draft.replace(path)
    except OSError as error:
        msg = f"{path}: expected a file that can be written, found: {error.strerror}"
        raise TransientError(msg) from error


def _last_price(database: Path) -> CoinPrice | None:
    """Return the price that an earlier run kept; None when there is none that can be read."""
    try:
        content = json.loads(_price_file(database).read_text("utf-8"))
        return CoinPrice(value=int(content["usd"]), read=int(content["read"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
