"""When a rehearsal is begun ahead, and for whom the chain id was asked with it."""

from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.plan import Plan
from keeper.executor.rehearsing_ahead import RehearsingAhead
from tests.support.ledger_records import account
from tests.support.rehearsal_node import FUTURE, HEAD, ONE, PLANS, THREE, TWO, Node, done

OURS = ONE.transaction.sender


class Scene:
    """A node, and what is in flight."""

    def __init__(self, *operators: Any, flying: Any = frozenset()) -> None:
        self.node = Node(lambda _, one: done(PLANS[one]))
        self.chains: list[Any] = []
        desks = SimpleNamespace(addresses=operators, ask_chain=self.chains.append)
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


async def test_the_chain_id_is_asked_for_these_plans_once() -> None:
    scene = Scene(OURS)
    assert await scene.begin(ONE, TWO)
    assert scene.chains == [(OURS,)]
    assert scene.ahead.has_asked([TWO, ONE])
    assert not scene.ahead.has_asked([TWO, ONE])


async def test_for_other_plans_it_was_not_asked() -> None:
    scene = Scene(OURS)
    await scene.begin(ONE)
    assert not scene.ahead.has_asked([ONE, THREE])
    assert not scene.ahead.has_asked([ONE])  # it is another signing's by now


async def test_disarmed_it_is_rehearsed_and_no_chain_asked_for() -> None:
    scene = Scene()
    assert await scene.begin(ONE)
    assert not scene.ahead.has_asked([ONE])


@pytest.mark.parametrize(
    "scene",
    [lambda: Scene(OURS, flying={OURS}), lambda: Scene(OURS, account(5))],
    ids=["in flight", "several operators"],
)
async def test_where_it_is_not_known_what_runs_before_nothing_is_begun(scene: Any) -> None:
    stage = scene()
    assert await stage.begin(ONE) == 0
    assert not stage.ahead.has_asked([ONE])


async def test_without_plans_nothing_is_begun() -> None:
    scene = Scene(OURS)
    assert await scene.begin() == 0
    assert not scene.ahead.has_asked([])
