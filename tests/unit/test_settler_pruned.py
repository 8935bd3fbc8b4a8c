"""What landed where the state is gone: its net is exact, its prices are those of its plan."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from keeper.core.errors import KeeperError, RefusedError, StaleError, TransientError
from keeper.core.lending import AccountRef, Valuation
from keeper.core.plan import Status
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.settler import KEPT_BLOCKS, PLANNED_PRICES
from tests.support.batch_records import ACCOUNTS, logs_of, merged
from tests.support.ledger_records import VALUATION
from tests.support.settling_desk import GAIN, GAINED, GAS, Desk, auditor, desk_in
from tests.support.signed_plans import ONE, SIGNER

BLOCK = 101
DEAR = replace(VALUATION, native_price=2 * VALUATION.native_price)
PRUNED = [
    StaleError("missing trie node"),
    RefusedError("state at block #101 is pruned"),
    TransientError("World state unavailable"),
]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


def without_state(desk: Desk, error: KeeperError) -> None:
    """Start anew with a node that tells no price of the block."""

    async def value_at(*_: object) -> Valuation:
        raise error

    desk.settler = desk.made()
    found = replace(auditor(desk.liquidations), value_at=value_at)
    desk.settler._auditor_of = lambda _: found


@pytest.mark.parametrize("error", PRUNED)
@pytest.mark.parametrize("restarts", [False, True])
async def test_it_is_in_the_books_once_no_node_has_the_state_of_its_block(
    desk: Desk, error: KeeperError, *, restarts: bool
) -> None:
    sent = await desk.send(replace(ONE, valuation=DEAR), 5)
    desk.wire.include(sent.tx_hash, BLOCK, logs=[GAINED])
    if restarts:
        desk.flight = Flight(await desk.journal.open_intents())
    without_state(desk, error)
    with suppress(TransientError):
        assert await desk.settle(BLOCK + KEPT_BLOCKS) == [], "a node may tell it yet"
    (outcome,) = await desk.settle(BLOCK + KEPT_BLOCKS + 1)
    assert (outcome.status, outcome.detail) == (Status.LANDED, PLANNED_PRICES)
    assert (outcome.realised.gas, outcome.realised.net) == (GAS, GAIN - GAS)
    (done,) = outcome.liquidations
    seized, repaid = (
        DEAR.wei_floor(done.collateral, done.seized),
        DEAR.wei_floor(done.debt, done.repaid),
    )
    assert outcome.realised.penalty == seized - repaid
    assert desk.flight.airborne == {}


async def test_each_account_of_a_batch_is_valued_as_it_was_planned(desk: Desk) -> None:
    own = [replace(one, transaction=replace(one.transaction, sender=SIGNER.address))
           for one in ACCOUNTS]  # fmt: skip
    planned = [replace(own[0], valuation=DEAR), *own[1:]]
    sent = await desk.send(merged(*planned), 5)
    desk.wire.include(sent.tx_hash, BLOCK, logs=list(logs_of(ACCOUNTS)))
    (restored,) = await desk.journal.open_intents()
    assert restored.valuations == (DEAR, VALUATION, VALUATION)
    assert desk.flight.airborne[own[0].id].intent.valuations == restored.valuations


async def test_prices_that_are_told_are_those_of_the_block_however_old_it_is(desk: Desk) -> None:
    asked: list[AccountRef] = []

    async def value_at(_: object, ref: AccountRef) -> Valuation:
        asked.append(ref)
        return VALUATION

    sent = await desk.send(replace(ONE, valuation=DEAR), 5)
    desk.wire.include(sent.tx_hash, BLOCK, logs=[GAINED])
    desk.settler = desk.made()
    found = replace(auditor(desk.liquidations), value_at=value_at)
    desk.settler._auditor_of = lambda _: found
    (outcome,) = await desk.settle(BLOCK + 10 * KEPT_BLOCKS)
    assert (outcome.detail, asked) == ("", [ONE.ref])
