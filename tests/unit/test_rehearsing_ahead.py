"""When a rehearsal is begun ahead."""

from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.plan import Plan
from keeper.executor.rehearsing_ahead import RehearsingAhead
from tests.support.ledger_records import account
from tests.support.rehearsal_node import FUTURE, HEAD, ONE, PLANS, TWO, Node, done

OURS = ONE.transaction.sender


class Scene:
    """A node, and what is in flight."""

    def __init__(self, *operators: Any, flying: Any = frozenset()) -> None:
        self.node = Node(lambda _, one: done(PLANS[one]))
        desks = SimpleNamespace(addresses=operators)
        armament: Any = SimpleNamespace(desks=desks) if operators else None
        grounds: Any = SimpleNamespace(simulator=self.node, overrides={})
        flight: Any = SimpleNamespace(senders=flying)
        self.ahead = RehearsingAhead(grounds, flight, armament)

    async def begin(self, *plans: Plan) -> int:
        """Begin to rehearse plans, and return how many were run once all that waits is done."""
        self.ahead.begin(plans, HEAD, FUTURE)
        if self.ahead.simulator._begun is not None:
            await self.ahead.simulator._begun[1]
        return len(self.node.rounds)


async def test_what_will_probably_be_carried_out_is_run() -> None:
    assert await Scene(OURS).begin(ONE, TWO) == 1


async def test_disarmed_it_is_run_as_well() -> None:
    assert await Scene().begin(ONE) == 1


@pytest.mark.parametrize(
    "scene",
    [lambda: Scene(OURS, flying={OURS}), lambda: Scene(OURS, account(5))],
    ids=["in flight", "several operators"],
)
async def test_where_it_is_not_known_what_runs_before_nothing_is_begun(scene: Any) -> None:
    assert await scene().begin(ONE) == 0


async def test_without_plans_nothing_is_begun() -> None:
    assert await Scene(OURS).begin() == 0
