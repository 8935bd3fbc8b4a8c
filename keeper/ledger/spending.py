"""What was spent and what is at stake, for the caps that survive a restart."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from keeper.core.gas_limit import MOST_TO_CANCEL
from keeper.core.plan import Purpose
from keeper.core.units import Address
from keeper.ledger.lifecycle import OPEN_LIST
from keeper.ledger.store import is_made, reading


def select_gas_at_stake(db: sqlite3.Connection) -> int:
    """Return the most wei of gas that the intents without an outcome may still cost.

    Each counts at the highest fee that it was signed for: only one of its transactions can land.
    """
    rows = db.execute(
        f"""SELECT i.plan_id, i.gas_at_stake, json_extract(i.plan, '$.gas_limit'),
        json_extract(i.plan, '$.fees.max_fee'), json_extract(i.plan, '$.data_cost.gas'),
        s.max_fee, s.purpose
        FROM intents i LEFT JOIN submissions s USING (plan_id)
        WHERE i.status IN ({OPEN_LIST})"""  # noqa: S608 - constants
    )
    worst: dict[str, int] = {}
    for plan_id, planned, gas_limit, planned_fee, data_gas, fee, purpose in rows:
        at_plan = int(gas_limit) * int(planned_fee)
        gas = int(gas_limit)
        if purpose == Purpose.CANCEL:
            gas = MOST_TO_CANCEL + int(data_gas or 0)
        most = int(planned) - at_plan + gas * max(int(fee or 0), int(planned_fee))
        worst[plan_id] = max(most, worst.get(plan_id, 0))
    return sum(worst.values())


def select_highest_nonce(db: sqlite3.Connection, sender: Address) -> int | None:
    """Return the highest nonce signed with that may be used up, None when there is none.

    Nonces of dropped intents are left out: the chain says whether they are free again. Those of
    armed ones are not used yet.
    """
    (nonce,) = db.execute(
        """SELECT max(nonce) FROM submissions JOIN intents USING (plan_id)
        WHERE sender = ? AND intents.status NOT IN ('dropped', 'armed')""",
        (sender,),
    ).fetchone()
    return None if nonce is None else int(nonce)


class Spending(Struct, frozen=True, kw_only=True):
    """What a chain's database says of gas, wei."""

    spent: Mapping[str, tuple[int, int]]
    """When it was settled (unix seconds) and what it cost, by plan."""
    at_stake: int
    open_intents: int


def read_spending(path: Path, *, since: int) -> Spending | None:
    """Return what was spent since a time, and what is open; None when no keeper ran there yet.

    Raises ConfigError when there is a file that is no database of ours.
    """
    if not is_made(path):
        return None
    with reading(path) as db:
        rows = db.execute("SELECT plan_id, settled, gas FROM outcomes WHERE settled >= ?", (since,))
        spent = {plan_id: (int(settled), int(gas)) for plan_id, settled, gas in rows}
        (open_intents,) = db.execute(
            # Those that go by another's transaction have no gas of their own at stake.
            f"""SELECT count(*) FROM intents
            WHERE status IN ({OPEN_LIST}) AND gas_at_stake != '0'"""  # noqa: S608 - constants
        ).fetchone()
        return Spending(
            spent=spent, at_stake=select_gas_at_stake(db), open_intents=int(open_intents)
        )
