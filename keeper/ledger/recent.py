"""What the database would say, known without asking the thread that writes it.

Nobody else writes outcomes and plans: what was read stays true until something is recorded.
"""

import sqlite3
from collections.abc import Iterable

from msgspec import Struct

from keeper.core.plan import Plan
from keeper.core.standing import Spent


class Costs(Struct, frozen=True, kw_only=True):
    """What outcomes since a time took of the budgets, each with when it was recorded."""

    since: int
    """Unix seconds."""
    gas: tuple[tuple[int, int], ...]
    """Wei."""
    forced: tuple[tuple[int, str, int], ...]
    """Of the forced ones: their deployment, and what they lost, wei."""

    def spent(self, *, hour: int, day: int) -> Spent:
        """Return what the outcomes since two times took, neither of them before ``since``."""
        lost: dict[str, int] = {}
        for settled, deployment, one in self.forced:
            if settled >= day:
                lost[deployment] = lost.get(deployment, 0) + one
        return Spent(
            hour=sum([one for settled, one in self.gas if settled >= hour]),
            day=sum([one for settled, one in self.gas if settled >= day]),
            forced=lost,
        )


class NewestHead:
    """The newest head that a plan was recorded of: what is of a later one is new."""

    def __init__(self) -> None:
        self._number = -1

    def is_before(self, plans: Iterable[Plan]) -> bool:
        """Return whether no plan of their heads, or a later one, was ever recorded."""
        return all(one.opportunity.block.number > self._number for one in plans)

    def recorded(self, *heads: int) -> None:
        """Hear of the heads of plans that are, or are being recorded."""
        self._number = max((self._number, *heads))


def select_costs(db: sqlite3.Connection, since: int) -> Costs:
    """Return what the outcomes recorded since a time took, unix seconds."""
    gas = db.execute("SELECT settled, gas FROM outcomes WHERE settled >= ?", (since,)).fetchall()
    forced = db.execute(
        """SELECT o.settled, deployment, o.net FROM outcomes o JOIN intents USING (plan_id)
        WHERE forced AND o.settled >= ? AND o.status != 'simulated'""",
        (since,),
    ).fetchall()
    return Costs(
        since=since,
        gas=tuple((settled, int(one)) for settled, one in gas),
        # Each by itself: one that earned gives nothing back to the budget.
        forced=tuple((settled, name, max(-int(net), 0)) for settled, name, net in forced),
    )


def select_newest_head(db: sqlite3.Connection) -> int:
    """Return the newest head of any plan, -1 where there is none."""
    (number,) = db.execute("SELECT coalesce(max(head_block), -1) FROM intents").fetchone()
    return int(number)
