"""One plan that cannot be rehearsed ahead is left out: it disarms nobody else."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from keeper.app.prearming import PREARM_REFUSED, Prearming
from keeper.core.chain import Simulated, Transaction
from keeper.core.errors import RefusedError
from keeper.core.plan import Plan
from keeper.evm.words import selector
from keeper.oracle.stand_in import StandIns
from tests.support.ledger_records import block
from tests.support.rehearsal_node import ONE, TWO, Node, decoders, succeed
from tests.support.scripted_reader import ScriptedReader, words
from tests.unit.test_oracle_telling import ETHER, ORACLE, at, following

SIDE: Any = SimpleNamespace(
    feed=ORACLE,
    falls=True,
    candidates=[
        SimpleNamespace(opportunity=SimpleNamespace(ref=one.ref), price=2_900 * 10**24)
        for one in (ONE, TWO)
    ],
)
AHEAD: Any = SimpleNamespace(
    head=block(7), prices=at(3_000 * 10**24), snapshot=SimpleNamespace(market=None)
)
TOLD = {(ETHER, selector("decimals()")): words(8)}


def prearming(node: Node, answers: dict[Any, bytes]) -> Prearming[Any, Any]:
    bench: Any = SimpleNamespace(
        watcher=SimpleNamespace(followed=following().feeds.__getitem__),
        stand_ins=StandIns(ScriptedReader(answers=answers)),  # type: ignore[arg-type]
        simulator=node,
        decoders=lambda _: decoders(),
        overrides={},
        block_time_s=12,
    )
    nobody: Any = None
    return Prearming(bench, nobody, nobody)


async def rehearsed(node: Node, answers: dict[Any, bytes]) -> list[Plan]:
    return await prearming(node, answers)._rehearsed(AHEAD, SIDE, [ONE, TWO])


async def test_plans_that_hold_are_rehearsed_each_alone() -> None:
    held = await rehearsed(Node(succeed), TOLD)
    assert [one.id for one in held] == [ONE.id, TWO.id]


async def test_a_feed_without_decimals_ends_the_plans_of_its_own_side_alone() -> None:
    with capture_logs() as lines:
        assert await rehearsed(Node(succeed), {}) == []
    assert [one["plan"] for one in lines if one["event"] == PREARM_REFUSED] == [ONE.id, TWO.id]


@pytest.mark.parametrize("refused", [ONE, TWO], ids=["one", "two"])
async def test_what_a_node_tells_nothing_of_is_left_out_and_no_other(refused: Plan) -> None:
    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if one == refused.transaction:
            raise RefusedError("gas limit reached")
        return succeed(before, one)

    held = await rehearsed(Node(answer), TOLD)
    assert [one.id for one in held] == [one.id for one in (ONE, TWO) if one is not refused]
