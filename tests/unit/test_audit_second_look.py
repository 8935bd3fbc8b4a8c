"""A difference is asked for once more before it is called drift."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef, Feed, Price
from keeper.core.parity import Sides
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.mirror.audit import AccountsDriftedError, Ground, ParityAudit
from keeper.mirror.snapshot import Snapshot

REF = AccountRef(market="pool", account=Address("0x" + "aa" * 20))
OTHER = AccountRef(market="pool", account=Address("0x" + "bb" * 20))
BLOCK = BlockRef(
    number=7,
    hash=Hash32("0x" + "07" * 32),
    parent_hash=Hash32("0x" + "06" * 32),
    timestamp=84,
    base_fee=1,
    gas_used=0,
    gas_limit=30_000_000,
)
GROUND: Ground[Any, Any] = Ground(
    snapshot=Snapshot(block=BLOCK, market=None, positions={REF: "a loan", OTHER: "another"}),
    prices={},
)
FEED = Feed(
    id="eth",
    label="ETH / USD",
    read=Call(to=REF.account, data=b""),
    source=REF.account,
    direct=True,
)


def priced(number: int) -> Ground[Any, Any]:
    """Return the ground of another block, where the feed was read as 100."""
    block = replace(BLOCK, number=number)
    return Ground(
        snapshot=replace(GROUND.snapshot, block=block),
        prices={FEED.id: Price(value=100, block=number, updated_at=84)},
    )


@dataclass(slots=True)
class Answers:
    """An adapter whose chain answers as scripted; the mirror always says 100."""

    chain: list[int]
    followed: tuple[Feed, ...] = ()

    def at(self, market: object, **_: object) -> object:
        return market

    def feeds(self, _: object) -> tuple[Feed, ...]:
        return self.followed

    async def audit(
        self, _reader: object, _block: object, _view: object, asked: Mapping[AccountRef, object]
    ) -> Mapping[AccountRef, Sides]:
        if REF not in asked:
            return {ref: Sides(mirror={}, chain={}) for ref in asked}
        return {REF: Sides(mirror={"debt": 100}, chain={"debt": self.chain.pop(0)})}


def audit_of(*chain: int) -> ParityAudit[Any, Any]:
    adapter: Any = Answers(chain=list(chain))
    reader: Any = None
    return ParityAudit(adapter, reader, sample=1)


async def test_a_difference_that_stays_is_drift() -> None:
    with pytest.raises(AccountsDriftedError) as drift:
        await audit_of(101, 101).check(GROUND, [REF])
    assert drift.value.drifted.keys() == {REF}


async def test_a_difference_that_goes_is_a_node_that_is_unsure() -> None:
    with pytest.raises(StaleError, match="expected one answer, found the node unsure of 1"):
        await audit_of(101, 100).check(GROUND, [REF])


async def test_an_unsure_answer_is_not_taken_for_a_sound_one() -> None:
    audit = audit_of(101, 100, 101, 101)
    with pytest.raises(StaleError):
        await audit.check(GROUND, [REF])
    with pytest.raises(AccountsDriftedError):
        await audit.check(GROUND, [REF])


async def test_an_answer_that_agrees_is_not_asked_for_again() -> None:
    audit = audit_of(100)
    await audit.check(GROUND, [REF])
    await audit.check(GROUND, [REF])


class OtherPrices:
    """A node that tells of each block another price than it told before."""

    async def call_many(self, calls: Sequence[Call], _: BlockRef) -> Sequence[CallResult]:
        return [CallResult(success=True, data=(99).to_bytes(32)) for _ in calls]


async def test_a_price_told_two_ways_leaves_the_block_and_is_drift_in_the_third_block() -> None:
    adapter: Any = Answers(chain=[101] * 8, followed=(FEED,))
    reader: Any = OtherPrices()
    audit: ParityAudit[Any, Any] = ParityAudit(adapter, reader, sample=1)
    for number in (7, 7, 8):
        with pytest.raises(StaleError, match="expected one answer, found two for ETH / USD"):
            await audit.check(priced(number), [REF])
    with pytest.raises(AccountsDriftedError):
        await audit.check(priced(9), [REF])


async def test_another_account_that_agrees_does_not_end_the_doubt_of_one_that_does_not() -> None:
    """A sample of others may be compared at each block, before those who are acted on."""
    adapter: Any = Answers(chain=[101] * 6, followed=(FEED,))
    reader: Any = OtherPrices()
    audit: ParityAudit[Any, Any] = ParityAudit(adapter, reader, sample=1)
    for number in (7, 8):
        await audit.check(priced(number), [OTHER])
        with pytest.raises(StaleError, match="expected one answer, found two for ETH / USD"):
            await audit.check(priced(number), [REF])
    await audit.check(priced(9), [OTHER])
    with pytest.raises(AccountsDriftedError):
        await audit.check(priced(9), [REF])


async def test_an_account_that_agrees_again_is_doubted_anew() -> None:
    adapter: Any = Answers(chain=[101, 101, 101, 101, 100, 101, 101], followed=(FEED,))
    reader: Any = OtherPrices()
    audit: ParityAudit[Any, Any] = ParityAudit(adapter, reader, sample=1)
    for number in (7, 8):
        with pytest.raises(StaleError):
            await audit.check(priced(number), [REF])
    await audit.check(priced(9), [REF])
    with pytest.raises(StaleError):
        await audit.check(priced(10), [REF])
