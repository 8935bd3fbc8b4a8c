"""What others liquidated, in the database; and what we had done about it, for the cause."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from keeper.core.lending import AccountRef
from keeper.core.plan import Status
from keeper.core.taken import Asset, Cause, OurPart, Taken
from keeper.core.units import Address, Hash32
from keeper.ledger.submissions import submissions_of

_COLUMNS: Final = """deployment, market, account, block, block_hash, tx_hash, log_index, place,
    liquidator, collateral, collateral_symbol, collateral_unit, debt, debt_symbol, debt_unit,
    repaid, seized, penalty, protocol_fee, gas, cause, detail, forecast_net"""
_SLOTS: Final = ", ".join("?" * (_COLUMNS.count(",") + 2))

_PART: Final = """SELECT i.status, i.net, s.target_block, s.priority_fee, s.plan_id
    FROM intents i LEFT JOIN outcomes o USING (plan_id)
    LEFT JOIN submissions s ON s.plan_id = coalesce(i.carried_by, i.plan_id)
        AND s.purpose = 'liquidate' AND coalesce(o.block >= :before, 1)
        AND NOT (i.status = 'dropped' AND o.tx_hash IS NULL)
    WHERE i.deployment = :deployment AND i.market = :market AND i.account = :account
    AND i.head_block >= :since AND i.head_block < :before AND i.status != 'armed'
    ORDER BY i.sequence DESC, s.target_block <= :before DESC, s.sequence DESC LIMIT 1"""
"""The newest intent with its newest liquidation of theirs, or an earlier block: not what took its
place after that, nor where it had ended in a block before."""

_IN_TRANSACTION: Final = """WITH RECURSIVE named(deployment) AS (
        SELECT min(deployment) FROM taken
        UNION ALL
        SELECT (SELECT min(taken.deployment) FROM taken WHERE taken.deployment > named.deployment)
        FROM named WHERE named.deployment IS NOT NULL)
    SELECT deployment, block, log_index FROM named CROSS JOIN taken USING (deployment)
    WHERE block = ? AND block_hash = ? AND tx_hash = ? ORDER BY log_index, deployment"""
"""The liquidations of a transaction, of all deployments, found without reading the whole table."""


def select_own(db: sqlite3.Connection, hashes: Collection[Hash32]) -> frozenset[Hash32]:
    """Return which of the transactions we signed."""
    asked = sorted(hashes)
    slots = ", ".join("?" * len(asked))
    rows = db.execute(
        f"SELECT tx_hash FROM submissions WHERE tx_hash IN ({slots})",  # noqa: S608 - slots only
        asked,
    )
    return frozenset(Hash32(found) for (found,) in rows)


def select_noted(
    db: sqlite3.Connection, deployment: str, hashes: Collection[Hash32]
) -> frozenset[Hash32]:
    """Return which of the transactions are noted already."""
    asked = sorted(hashes)
    slots = ", ".join("?" * len(asked))
    rows = db.execute(
        f"SELECT tx_hash FROM taken WHERE deployment = ? AND tx_hash IN ({slots})",  # noqa: S608 - slots only
        (deployment, *asked),
    )
    return frozenset(Hash32(found) for (found,) in rows)


def select_our_part(
    db: sqlite3.Connection, deployment: str, ref: AccountRef, *, since: int, before: int
) -> OurPart | None:
    """Return our newest intent of an account from head ``since`` on and before block ``before``.

    None when there is none. What the lane refused was out for no block: of such an outcome there
    is no transaction. Nor was what had ended by then.
    """
    key = {"deployment": deployment, "market": ref.market, "account": ref.account}
    found = db.execute(_PART, key | {"since": since, "before": before}).fetchone()
    if found is None:
        return None
    status, net, target_block, priority_fee, carrier = found
    return OurPart(
        status=Status(status),
        net=int(net),
        target_block=target_block,
        priority_fee=None if priority_fee is None else int(priority_fee),
        attempts=() if carrier is None else tuple(submissions_of(db, carrier)),
    )


def note_taken(
    db: sqlite3.Connection,
    deployment: str,
    taken: Sequence[Taken],
    *,
    gone_from: int | None,
    now: int,
) -> None:
    """Note what others liquidated; forget what was noted of block ``gone_from`` or later ones.

    Each deployment knows of its own liquidations and has them bear all the gas of a transaction:
    where others have some of it too, it is divided anew.
    """
    if gone_from is not None:
        db.execute("DELETE FROM taken WHERE deployment = ? AND block >= ?", (deployment, gone_from))
    db.executemany(
        f"INSERT OR REPLACE INTO taken ({_COLUMNS}, seen) VALUES ({_SLOTS})",  # noqa: S608 - our own constants
        [(*_row(one), now) for one in taken],
    )
    whole = Counter[tuple[int, Hash32, Hash32]]()
    for one in taken:
        whole[one.block, one.block_hash, one.tx_hash] += one.gas
    for transaction, gas in whole.items():
        _divide_gas(db, transaction, gas)


def _divide_gas(db: sqlite3.Connection, transaction: tuple[int, Hash32, Hash32], gas: int) -> None:
    """Have each liquidation of a transaction bear an equal part; the first has what is left."""
    found = db.execute(_IN_TRANSACTION, transaction).fetchall()
    part, left = divmod(gas, len(found))
    db.executemany(
        "UPDATE taken SET gas = ? WHERE deployment = ? AND block = ? AND log_index = ?",
        [(str(part + (0 if at else left)), *key) for at, key in enumerate(found)],
    )


def select_taken(db: sqlite3.Connection, since: int) -> tuple[Taken, ...]:
    """Return what others liquidated since a time, unix seconds, oldest first.

    A database that no keeper of this version has opened yet knows of nothing.
    """
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'taken'").fetchone():
        return ()
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM taken WHERE seen >= ? ORDER BY block, place, log_index",  # noqa: S608 - our own constants
        (since,),
    )
    return tuple(_taken(row) for row in rows)


def _row(one: Taken) -> tuple[str | int | None, ...]:
    return (
        one.deployment,
        one.ref.market,
        one.ref.account,
        one.block,
        one.block_hash,
        one.tx_hash,
        one.log_index,
        one.place,
        one.liquidator,
        *_asset_row(one.collateral),
        *_asset_row(one.debt),
        str(one.repaid),
        str(one.seized),
        _text(one.penalty),
        _text(one.protocol_fee),
        str(one.gas),
        one.cause.value,
        one.detail,
        _text(one.forecast_net),
    )


def _asset_row(asset: Asset) -> tuple[str, str, str]:
    return asset.address, asset.symbol, str(asset.unit)


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def _amount(text: str | None) -> int | None:
    return None if text is None else int(text)


def _taken(row: Sequence[str]) -> Taken:
    (deployment, market, account, block, block_hash, tx_hash, log_index, place, liquidator,
     *assets, repaid, seized, penalty, protocol_fee, gas, cause, detail, net) = row  # fmt: skip
    return Taken(
        deployment=deployment,
        ref=AccountRef(market=market, account=Address(account)),
        block=int(block),
        block_hash=Hash32(block_hash),
        tx_hash=Hash32(tx_hash),
        log_index=int(log_index),
        place=int(place),
        liquidator=Address(liquidator),
        collateral=_asset(assets[:3]),
        debt=_asset(assets[3:]),
        repaid=int(repaid),
        seized=int(seized),
        penalty=_amount(penalty),
        protocol_fee=_amount(protocol_fee),
        gas=int(gas),
        cause=Cause(cause),
        detail=detail,
        forecast_net=_amount(net),
    )


def _asset(columns: Sequence[str]) -> Asset:
    address, symbol, unit = columns
    return Asset(address=Address(address), symbol=symbol, unit=int(unit))
