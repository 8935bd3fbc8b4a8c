"""A difference is asked for once more before it is called drift."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef
from keeper.core.parity import Sides
from keeper.core.units import Address, Hash32
from keeper.mirror.audit import AccountsDriftedError, Ground, ParityAudit
from keeper.mirror.snapshot import Snapshot

REF = AccountRef(market="pool", account=Address("0x" + "aa" * 20))
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
    snapshot=Snapshot(block=BLOCK, market=None, positions={REF: "a loan"}), prices={}
)


@dataclass(slots=True)
class Answers:
    """An adapter whose chain answers as scripted; the mirror always says 100."""

    chain: list[int]

    def at(self, market: object, **_: object) -> object:
        return market

    def feeds(self, _: object) -> tuple[()]:
        return ()

    async def audit(self, *_: object) -> Mapping[AccountRef, Sides]:
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
