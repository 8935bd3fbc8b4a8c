"""The life of an intent in the database: each function is one step, run inside a transaction.

A step that a restart repeats with the same content changes nothing; any other step out of order
raises InvariantError, because it would mean a second transaction for one intent.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from keeper.core.accounting import Waterfall
from keeper.core.chain import DataCost
from keeper.core.errors import InvariantError
from keeper.core.lending import AccountRef, Valuation
from keeper.core.plan import Companion, Intent, Plan, Settled, Status
from keeper.core.units import Address, Hash32
from keeper.ledger.lifecycle import CLAIMING_LIST, OPEN_LIST
from keeper.ledger.record import to_json
from keeper.ledger.schema import WATERFALL
from keeper.ledger.submissions import submissions_of

_INTENT: Final = (
    "intents.plan_id, deployment, market, account, intents.status, plan_tip, deadline, forced, "
    "json_extract(plan, '$.data_cost.wei'), json_extract(plan, '$.data_cost.gas'), "
    "json_extract(plan, '$.valuation'), json_extract(plan, '$.least_net')"
)
_Row = tuple[str, str, str, str, str, str, int, int, *tuple[str | None, ...]]

_FORECAST_SLOTS: Final = ", ".join("?" * len(WATERFALL))


def waterfall_row(split: Waterfall) -> tuple[str, ...]:
    """Return a waterfall as its columns."""
    return tuple(str(getattr(split, name)) for name in WATERFALL)


def waterfall_of(columns: Sequence[str]) -> Waterfall:
    """Return the waterfall in its columns. Raises InvariantError when they do not add up."""
    return Waterfall(**dict(zip(WATERFALL, map(int, columns), strict=True)))


def insert_intent(db: sqlite3.Connection, plan: Plan, *, now: int) -> None:
    """Record that a plan will be carried out, with those that go with it."""
    first, *others = plan.members
    _insert_one(db, first, None, now=now)
    for one in others:
        _insert_one(db, one, first.id, now=now)


def _insert_one(db: sqlite3.Connection, plan: Plan, carried_by: str | None, *, now: int) -> None:
    found = db.execute("SELECT status, plan FROM intents WHERE plan_id = ?", (plan.id,)).fetchone()
    if found is not None and found == (Status.INTENDED, to_json(plan)):
        return
    if found is not None and found[0] != Status.SIMULATED:
        msg = f"intent {plan.id}: expected a new one, found it {found[0]} already"
        raise InvariantError(msg)
    require_no_open_intent(db, plan.id, plan.deployment, plan.ref.market, plan.ref.account)
    times = 1 + forget_simulation(db, plan.id)
    insert_row(db, plan, Status.INTENDED, times=times, now=now, carried_by=carried_by)


def insert_row(
    db: sqlite3.Connection,
    plan: Plan,
    status: Status,
    *,
    times: int,
    now: int,
    carried_by: str | None = None,
) -> None:
    """Write a plan's row; ``carried_by`` is the plan whose transaction it goes by, if another."""
    db.execute(
        f"""INSERT INTO intents VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        {_FORECAST_SLOTS}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",  # noqa: S608 - question marks only
        (
            plan.id,
            plan.deployment,
            plan.ref.market,
            plan.ref.account,
            status,
            plan.opportunity.trigger,
            plan.opportunity.block.number,
            plan.option.collateral,
            plan.option.debt,
            str(plan.quote.repay),
            str(plan.quote.seized),
            *waterfall_row(plan.forecast),
            str(plan.min_profit),
            str(plan.tip),
            plan.deadline,
            str(plan.gas_limit * plan.fees.max_fee + plan.data_cost.wei),
            to_json(plan),
            times,
            now,
            now,
            int(plan.forced),
            carried_by,
        ),
    )


def forget_simulation(db: sqlite3.Connection, plan_id: str) -> int:
    """Take a plan that was only shown out of the books; return how often it was.

    A keeper that is started twice in one block makes the same plan twice.
    """
    found = db.execute("SELECT times FROM intents WHERE plan_id = ?", (plan_id,)).fetchone()
    if found is None:
        return 0
    db.execute("DELETE FROM outcomes WHERE plan_id = ?", (plan_id,))
    db.execute("DELETE FROM intents WHERE plan_id = ?", (plan_id,))
    return int(found[0])


def require_no_open_intent(
    db: sqlite3.Connection, plan_id: str, deployment: str, market: str, account: str
) -> None:
    """Raise InvariantError when an account has an intent without an outcome."""
    found = db.execute(
        f"""SELECT plan_id, status FROM intents WHERE deployment = ? AND market = ?
        AND account = ? AND status IN ({CLAIMING_LIST})""",  # noqa: S608 - our own constants
        (deployment, market, account),
    ).fetchone()
    if found is not None:
        msg = (
            f"intent {plan_id}: expected no open intent for {account}, found {found[0]} {found[1]}"
        )
        raise InvariantError(msg)


def forget_earlier_simulations(db: sqlite3.Connection, plan_id: str) -> None:
    """Keep one simulated intent for each account, with how often it was seen.

    A disarmed keeper sees the same account in every block; its books must not grow with that.
    """
    key = db.execute(
        "SELECT deployment, market, account FROM intents WHERE plan_id = ?", (plan_id,)
    ).fetchone()
    earlier = db.execute(
        """SELECT plan_id FROM intents WHERE deployment = ? AND market = ?
        AND account = ? AND status = 'simulated' AND plan_id != ?""",
        (*key, plan_id),
    ).fetchall()
    for (other,) in earlier:
        times = forget_simulation(db, other)
        db.execute("UPDATE intents SET times = times + ? WHERE plan_id = ?", (times, plan_id))


def select_tried(db: sqlite3.Connection, plan_ids: Sequence[str]) -> frozenset[str]:
    """Return the plans of these ids that were more than shown."""
    query = "SELECT status FROM intents WHERE plan_id = ?"
    found = {one: db.execute(query, (one,)).fetchone() for one in plan_ids}
    return frozenset(one for one, row in found.items() if row and row[0] != Status.SIMULATED)


def select_open_intents(db: sqlite3.Connection) -> list[Intent]:
    """Return every intent without an outcome, oldest first, with its transactions."""
    return intents_in(db, OPEN_LIST)


def intents_in(db: sqlite3.Connection, statuses: str) -> list[Intent]:
    """Return the intents in an SQL list of statuses, oldest first, with their transactions."""
    rows = db.execute(
        f"""SELECT {_INTENT} FROM intents
        WHERE status IN ({statuses}) AND carried_by IS NULL ORDER BY sequence""",  # noqa: S608
    ).fetchall()
    return [_intent(db, row) for row in rows]


def select_unfinal(db: sqlite3.Connection) -> list[Settled]:
    """Return the intents with transactions whose end a reorg may still undo."""
    rows = db.execute(
        f"""SELECT {_INTENT}, o.block, o.block_hash FROM intents
        JOIN outcomes o USING (plan_id) WHERE o.final = 0 AND o.status != 'simulated'
        AND EXISTS (SELECT 1 FROM submissions s WHERE s.plan_id = intents.plan_id)
        ORDER BY sequence"""  # noqa: S608 - constants
    ).fetchall()
    return [
        Settled(
            intent=_intent(db, row[:-2]),
            outcome_status=Status(row[4]),
            block=row[-2],
            block_hash=None if row[-1] is None else Hash32(row[-1]),
        )
        for row in rows
    ]


def _intent(db: sqlite3.Connection, row: _Row) -> Intent:
    plan_id, deployment, market, account, status, tip, deadline, forced, *rest = row
    data_wei, data_gas, valuation, least_net = rest
    signed = submissions_of(db, plan_id)
    return Intent(
        plan_id=plan_id,
        deployment=deployment,
        ref=AccountRef(market=market, account=Address(account)),
        status=Status(status),
        tip=int(tip),
        deadline=deadline,
        submission=signed[-1] if signed else None,
        replaced=tuple(signed[:-1]),
        forced=bool(forced),
        companions=_companions(db, plan_id),
        data_cost=DataCost(wei=int(data_wei or 0), gas=int(data_gas or 0)),
        valuation=_valuation(valuation),
        least_net=int(least_net or 0),
    )


def _valuation(text: str | None) -> Valuation | None:
    """Return the prices that a plan was made at, None where its row has none."""
    if text is None:
        return None
    return msgspec.json.decode(text, type=Valuation, strict=False)


def _companions(db: sqlite3.Connection, plan_id: str) -> tuple[Companion, ...]:
    """Return those that go with an intent, in their order."""
    rows = db.execute(
        """SELECT plan_id, market, account, json_extract(plan, '$.valuation'),
            json_extract(plan, '$.least_net') FROM intents
        WHERE carried_by = ? ORDER BY sequence""",
        (plan_id,),
    ).fetchall()
    return tuple(
        Companion(
            plan_id=one,
            ref=AccountRef(market=market, account=Address(account)),
            valuation=_valuation(valuation),
            least_net=int(least_net or 0),
        )
        for one, market, account, valuation, least_net in rows
    )
