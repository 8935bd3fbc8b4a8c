"""The books: what each outcome brought, forecast beside realised, and what was left alone."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from keeper.core.accounting import Waterfall, gas_only
from keeper.core.plan import Status
from keeper.core.taken import Asset, Taken
from keeper.core.text import printable
from keeper.core.units import Address, Hash32
from keeper.ledger.amounts import short_hex
from keeper.ledger.intents import waterfall_of
from keeper.ledger.lifecycle import ON_CHAIN, OPEN_LIST
from keeper.ledger.schema import WATERFALL
from keeper.ledger.store import reading
from keeper.ledger.taken import select_taken


class Entry(Struct, frozen=True, kw_only=True):
    """One outcome. ``repaid`` and ``seized`` are raw units, the waterfalls are wei."""

    plan_id: str
    deployment: str
    market: str
    account: Address
    trigger: str
    status: Status
    collateral: Asset
    debt: Asset
    repaid: int
    seized: int
    forecast_repaid: int
    forecast_seized: int
    forecast: Waterfall
    realised: Waterfall
    tx_hash: Hash32 | None
    block: int | None
    detail: str
    times: int
    """How often a disarmed keeper saw it; 1 for what was sent."""
    settled: int
    """Unix seconds."""
    forced: bool
    """Whether it was allowed to lose money."""
    together: int
    """Accounts of its transaction, each of which is an outcome."""

    @property
    def counts(self) -> bool:
        """Return whether it moved money: it landed, or cost its gas for nothing."""
        return self.status in ON_CHAIN


class Missed(Struct, frozen=True, kw_only=True):
    """An account that was left alone, with the latest reason."""

    deployment: str
    market: str
    account: Address
    block: int
    reason: str
    detail: str
    net: int | None
    """Best net that was found, wei, when the reason is about profit."""
    times: int


class Total(Struct, frozen=True, kw_only=True):
    """A sum of outcomes, forecast beside realised."""

    name: str
    count: int
    forecast: Waterfall
    realised: Waterfall


class Books(Struct, frozen=True, kw_only=True):
    """Everything that a report shows."""

    chain_id: int
    chain: str
    """The chain's name in the configuration; empty where nobody said."""
    entries: tuple[Entry, ...]
    missed: tuple[Missed, ...]
    taken: tuple[Taken, ...]
    """What others liquidated, as far as the keeper ran then."""
    open_intents: int

    @property
    def counted(self) -> tuple[Entry, ...]:
        """Return the outcomes that moved money."""
        return tuple(entry for entry in self.entries if entry.counts)

    @property
    def total(self) -> Total:
        """Return the sum of what moved money."""
        return _total("total", self.counted)

    @property
    def simulated(self) -> Total:
        """Return what a disarmed keeper would have earned."""
        shown = [entry for entry in self.entries if entry.status is Status.SIMULATED]
        return _total("simulated", shown)

    @property
    def forced(self) -> Total:
        """Return the sum of the forced ones among what moved money."""
        return _total("forced", [entry for entry in self.counted if entry.forced])

    def per_pair(self) -> tuple[Total, ...]:
        """Return the sums by collateral and debt; tokens of one symbol are told apart."""
        assets = {asset for one in self.counted for asset in (one.collateral, one.debt)}
        tokens = {(asset.symbol, asset.address) for asset in assets}
        shared = {symbol for symbol, n in Counter(one for one, _ in tokens).items() if n > 1}

        def name(asset: Asset) -> str:
            own = f" {short_hex(asset.address)}" if asset.symbol in shared else ""
            return asset.symbol + own

        return _grouped(self.counted, lambda one: f"{name(one.collateral)} / {name(one.debt)}")

    def per_day(self) -> tuple[Total, ...]:
        """Return the sums by day, UTC, of settlement."""
        return _grouped(
            self.counted, lambda one: datetime.fromtimestamp(one.settled, UTC).date().isoformat()
        )


Row = tuple[Any, ...]
"""A row as SQLite hands it over, untyped."""

_FORECAST: Final = ", ".join(f"i.{name}" for name in WATERFALL)
_REALISED: Final = ", ".join(f"o.{name}" for name in WATERFALL)
_WIDTH: Final = len(WATERFALL)
_ENTRIES: Final = f"""SELECT {_FORECAST}, {_REALISED}, i.plan_id, i.deployment, i.market,
    i.account, i.trigger_cause, i.collateral, i.debt, i.repay, i.seize, i.times,
    json_extract(i.plan, '$.valuation.assets."' || i.collateral || '"'),
    json_extract(i.plan, '$.valuation.assets."' || i.debt || '"'), json_extract(i.plan, '$.forced'),
    o.status, o.tx_hash, o.block, o.liquidations, o.detail, o.settled
    FROM outcomes o JOIN intents i USING (plan_id)
    WHERE o.settled >= ? ORDER BY o.settled, i.sequence"""  # noqa: S608 - column names only
"""Of a plan only what is shown: whole, they take a hundred times what is kept of them."""

_BATCHES: Final = """SELECT tx_hash, count(*) FROM outcomes
    WHERE settled >= ? AND tx_hash IS NOT NULL GROUP BY tx_hash HAVING count(*) > 1"""

_MISSED: Final = """SELECT deployment, market, account, block, reason, detail, net, times
    FROM rejections r WHERE last_seen >= ? AND NOT EXISTS (
        SELECT 1 FROM outcomes o JOIN intents i USING (plan_id)
        WHERE i.deployment = r.deployment AND i.market = r.market AND i.account = r.account
        AND (o.status = 'landed' AND o.block > r.block
             OR o.status = 'simulated' AND o.settled >= r.last_seen))
    ORDER BY deployment, reason, account"""


def read_books(path: Path, *, since: int = 0, chain: str = "") -> Books:
    """Return the books of a database from ``since``, unix seconds. Raises ConfigError.

    An account that was rejected and later liquidated is not among the missed.
    """
    with reading(path) as db:
        (chain_id,) = db.execute("SELECT chain_id FROM meta").fetchone()
        (open_intents,) = db.execute(
            f"SELECT count(*) FROM intents WHERE status IN ({OPEN_LIST})"  # noqa: S608 - constants
        ).fetchone()
        sizes: dict[str, int] = dict(db.execute(_BATCHES, (since,)).fetchall())
        return Books(
            chain_id=chain_id,
            chain=chain,
            entries=tuple(_entry(row, sizes) for row in db.execute(_ENTRIES, (since,))),
            missed=tuple(_missed(row) for row in db.execute(_MISSED, (since,))),
            taken=select_taken(db, since),
            open_intents=open_intents,
        )


def _entry(row: Row, sizes: Mapping[str, int]) -> Entry:
    forecast = waterfall_of(row[:_WIDTH])
    realised = waterfall_of(row[_WIDTH : 2 * _WIDTH])
    (plan_id, deployment, market, account, trigger, collateral, debt, repay, seize, times,
     sold, owed, forced, *rest) = row[2 * _WIDTH :]  # fmt: skip
    status, tx_hash, block, liquidations, detail, settled = rest
    moved = [
        one
        for one in json.loads(liquidations)
        if (one["collateral"], one["debt"]) == (collateral, debt)
    ]
    return Entry(
        plan_id=plan_id,
        deployment=deployment,
        market=market,
        account=Address(account),
        trigger=trigger,
        status=Status(status),
        collateral=_asset(collateral, sold),
        debt=_asset(debt, owed),
        repaid=sum(int(one["repaid"]) for one in moved),
        seized=sum(int(one["seized"]) for one in moved),
        forecast_repaid=int(repay),
        forecast_seized=int(seize),
        forecast=forecast,
        realised=realised,
        tx_hash=Hash32(tx_hash) if tx_hash else None,
        block=int(block) if block is not None else None,
        detail=detail,
        times=int(times),
        settled=int(settled),
        forced=bool(forced),
        together=sizes.get(tx_hash, 1),
    )


def _asset(address: str, priced: str | None) -> Asset:
    """Return an asset as the plan knew it; one it did not price is shown in raw units."""
    if priced is None:
        return Asset(address=Address(address), symbol=address, unit=1)
    known = json.loads(priced)
    symbol = printable(known["symbol"])
    return Asset(address=Address(address), symbol=symbol, unit=int(known["unit"]))


def _missed(row: Row) -> Missed:
    deployment, market, account, block, reason, detail, net, times = row
    return Missed(
        deployment=deployment,
        market=market,
        account=Address(account),
        block=int(block),
        reason=reason,
        detail=detail,
        net=None if net is None else int(net),
        times=int(times),
    )


def _grouped(entries: Iterable[Entry], name_of: Callable[[Entry], str]) -> tuple[Total, ...]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(name_of(entry), []).append(entry)
    return tuple(_total(name, groups[name]) for name in sorted(groups))


def _total(name: str, entries: Iterable[Entry]) -> Total:
    listed = tuple(entries)
    return Total(
        name=name,
        count=len(listed),
        forecast=add_up(entry.forecast for entry in listed),
        realised=add_up(entry.realised for entry in listed),
    )


def add_up(splits: Iterable[Waterfall]) -> Waterfall:
    """Return the sum of waterfalls, item by item; the identity holds for it as for each."""
    total = gas_only(0)
    for one in splits:
        sums = {name: getattr(total, name) + getattr(one, name) for name in WATERFALL}
        total = Waterfall(**sums)
    return total
