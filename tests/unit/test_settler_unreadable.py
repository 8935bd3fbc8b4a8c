"""An outcome that cannot be read, or is not told alike, holds up no other."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.core.chain import BlockRef, Log, Receipt
from keeper.core.errors import ConfigError, InvariantError, RefusedError, StaleError, TransientError
from keeper.core.lending import AccountRef, Liquidation, Valuation
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.executor.settler import OUTCOME_UNREADABLE, OUTCOME_UNTOLD
from tests.support.fake_wire import FakeBlocks, FakeWire
from tests.support.ledger_records import hash32, plan
from tests.support.settling_desk import GAINED, Desk, desk_in
from tests.support.signed_plans import ONE, TWO


@dataclass(slots=True)
class AwayFor(FakeWire):
    """A node that goes away when it is asked for one receipt."""

    away: Hash32 = field(default_factory=lambda: hash32(0))
    error: Exception = field(default_factory=lambda: TransientError("gone"))

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        if tx_hash == self.away:
            raise self.error
        return await FakeWire.receipt(self, tx_hash)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


@pytest.mark.parametrize("error", [KeyError("reserve"), ConfigError("an unknown revision")])
async def test_what_its_deployment_cannot_read_holds_up_no_other(
    desk: Desk, error: Exception
) -> None:
    def unreadable(_logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        raise error

    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101, logs=(GAINED,))
    desk.wire.include(second.tx_hash, 101, success=False)
    desk.liquidations = unreadable
    desk.settler = desk.made()
    stuck: list[tuple[str, Exception]] = []
    desk.settler._on_stuck = lambda intent, met: stuck.append((intent.plan_id, met))
    with capture_logs() as lines:
        outcomes = [*await desk.settle(103), *await desk.settle(104)]
    assert [one.plan_id for one in outcomes] == [TWO.id]
    assert list(desk.flight.airborne) == [ONE.id]
    assert stuck == [(ONE.id, error)] * 2
    assert [one["plan"] for one in lines if one["event"] == OUTCOME_UNREADABLE] == [ONE.id]


async def test_what_cannot_be_read_holds_up_no_other_though_nobody_listens(desk: Desk) -> None:
    def unreadable(_logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        raise KeyError("reserve")

    desk.liquidations = unreadable
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101)
    assert await desk.settle(103) == []


async def test_a_broken_promise_ends_it_and_is_not_taken_for_one_deployments_own(
    desk: Desk,
) -> None:
    def broken(_logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        raise InvariantError("two of a kind")

    desk.liquidations = broken
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101, success=False)
    desk.wire.include(second.tx_hash, 101)
    with pytest.raises(InvariantError, match="two of a kind"):
        await desk.settle(103)
    assert [one.plan_id for one in await desk.journal.open_intents()] == [TWO.id]


async def test_what_is_in_the_books_is_told_though_the_node_goes_away_at_the_next(
    desk: Desk,
) -> None:
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101, success=False)
    desk.wire.include(second.tx_hash, 101, success=False)
    desk.wire = AwayFor(receipts=desk.wire.receipts, used=5, away=second.tx_hash)
    assert [one.plan_id for one in await desk.settle(103)] == [ONE.id]
    with pytest.raises(TransientError):
        await desk.settle(104)


async def test_prices_that_a_node_which_answers_does_not_tell_hold_up_no_other(desk: Desk) -> None:
    """As those of a block whose state it has not, where it says so as if it were busy."""
    asked: list[AccountRef] = []

    async def busy(_block: BlockRef, ref: AccountRef) -> Valuation:
        asked.append(ref)
        raise TransientError("World state unavailable")

    third = replace(plan(3), transaction=ONE.transaction)
    sent = [await desk.send(one, 5 + nonce) for nonce, one in enumerate((ONE, TWO, third))]
    for one in sent[:2]:
        desk.wire.include(one.tx_hash, 101, logs=(GAINED,))
    desk.wire.include(sent[2].tx_hash, 101, success=False)
    value_at, desk.value_at = desk.value_at, busy
    assert [one.plan_id for one in await desk.settle(103)] == [third.id]
    assert await desk.settle(104) == []
    assert asked == [ONE.ref] * 2, "once at each head"
    desk.value_at = value_at
    assert {one.plan_id for one in await desk.settle(105)} == {ONE.id, TWO.id}


async def test_prices_of_a_node_that_is_away_are_not_asked_for_one_by_one(desk: Desk) -> None:
    class Away(FakeBlocks):
        async def head(self) -> BlockRef:
            raise TransientError("gone")

    async def away(*_: object) -> Valuation:
        raise TransientError("gone")

    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    for one in (first, second):
        desk.wire.include(one.tx_hash, 101, logs=(GAINED,))
    desk.value_at, desk.blocks = away, Away(last=0)
    with pytest.raises(TransientError, match="gone"):
        await desk.settle(103)


async def test_an_end_that_nodes_tell_otherwise_holds_up_no_other(desk: Desk) -> None:
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101)
    desk.wire.include(second.tx_hash, 101)
    desk.wire.disputed.add(first.tx_hash)
    with capture_logs() as lines:
        assert [one.plan_id for one in await desk.settle(103)] == [TWO.id]
    assert [one["plan"] for one in lines if one["event"] == OUTCOME_UNTOLD] == [ONE.id]
    assert set(desk.flight.airborne) == {ONE.id}
    desk.wire.disputed.clear()
    assert [one.plan_id for one in await desk.settle(104)] == [ONE.id]


@pytest.mark.parametrize("error", [RefusedError("pruned"), StaleError("told otherwise")])
async def test_what_a_node_does_not_tell_is_its_own_fault_and_holds_up_no_other(
    desk: Desk, error: Exception
) -> None:
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101, success=False)
    desk.wire.include(second.tx_hash, 101, success=False)
    stuck: list[str] = []
    desk.wire = AwayFor(receipts=desk.wire.receipts, used=5, away=first.tx_hash, error=error)
    desk.settler = desk.made()
    desk.settler._on_stuck = lambda intent, _: stuck.append(intent.plan_id)
    assert [one.plan_id for one in await desk.settle(103)] == [TWO.id]
    assert (stuck, list(desk.flight.airborne)) == ([], [ONE.id])
