"""Keys, and chains, that are tended at the same time: none waits, and none takes another's room."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.chain import Fees, Transaction
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.units import WAD, Address, Hash32
from keeper.executor.armament import Armament
from keeper.executor.ladder import bumped
from keeper.executor.means import after
from keeper.executor.nonce import NonceKeeper
from keeper.executor.signing import SigningDesk
from keeper.executor.totals import CoinPrice, TotalLimits, Totals
from tests.support.signed_plans import ONE, SIGNER
from tests.support.tending_yard import HEAD, Yard, yard_in

FIRST = asyncio.FIRST_COMPLETED


@dataclass
class Slow:
    """A key that another process holds, which signs when it is told to."""

    is_instant: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> Address:
        return SIGNER.address

    async def sign_soon(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        self.asked.set()
        await self.answers.wait()
        return SIGNER.sign(transaction, nonce=nonce, gas_limit=gas_limit, fees=fees)


@pytest.fixture
async def yards(tmp_path: Path) -> AsyncIterator[tuple[Yard, Yard]]:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    async with yard_in(folders[0]) as one, yard_in(folders[1]) as two:
        yield one, two


def shared(yards: Sequence[Yard], most: int) -> None:
    """Give two chains budgets together, of a coin that is worth a dollar."""
    totals = Totals(TotalLimits(max_gas_per_hour=most), now=lambda: 0)
    for number, yard in enumerate(yards):
        yard.share = totals.share(str(number))
        yard.share.opened(yard.flight, lambda _: asyncio.sleep(0, WAD))
        yard.share.price = CoinPrice(value=WAD, read=0)


async def test_what_is_being_signed_on_one_chain_takes_its_room_from_the_others(
    yards: tuple[Yard, Yard],
) -> None:
    slow, quick = yards
    sent = [await yard.send(ONE, 5) for yard in yards]
    signer: Any = Slow()
    slow.desk = SigningDesk(
        chain_id=31337,
        signer=signer,
        wire=slow.wire,
        nonces=NonceKeeper(slow.wire, SIGNER.address, highest=9),
    )
    rung = ONE.gas_limit * (bumped(sent[0].fees.max_fee) - sent[0].fees.max_fee)
    most = sum(yard.flight.at_stake for yard in yards) + rung  # one of them may be raised
    shared(yards, most)
    raising = asyncio.create_task(slow.tend(left_of_totals=rung + slow.flight.at_stake))
    await asyncio.wait([raising, asyncio.create_task(signer.asked.wait())], return_when=FIRST)
    try:
        assert await quick.tend(left_of_totals=rung + quick.flight.at_stake) == []
    finally:
        signer.answers.set()
    assert [one.fees.max_fee for one in await raising] == [bumped(sent[0].fees.max_fee)]
    assert sum(yard.flight.at_stake for yard in yards) == most


async def test_room_that_was_kept_for_what_is_not_signed_is_there_again(
    yards: tuple[Yard, Yard],
) -> None:
    yard, _ = yards
    await yard.send(ONE, 5)
    before = yard.flight.at_stake
    yard.wire.used = 5
    failing: Any = SimpleNamespace(address=SIGNER.address, is_instant=False, sign_soon=silent)
    yard.desk = SigningDesk(
        chain_id=31337,
        signer=failing,
        wire=yard.wire,
        nonces=NonceKeeper(yard.wire, SIGNER.address, highest=9),
    )
    assert await yard.tend() == []
    assert yard.flight.at_stake == before


async def silent(*_: object, **__: object) -> tuple[bytes, Hash32]:
    raise TransientError("no answer")


def armament(*tenders: Any) -> Armament:
    nobody: Any = None
    return Armament(desks=nobody, lane=nobody, tenders=tenders)


async def exposure(_: object) -> Any:
    return None


async def test_no_key_waits_for_one_that_is_not_answered_for() -> None:
    came = asyncio.Event()

    async def first(*_: object) -> None:
        await came.wait()

    async def second(*_: object) -> None:
        came.set()

    tenders = [SimpleNamespace(tend=one) for one in (first, second)]
    async with asyncio.timeout(10):
        assert await armament(*tenders).tend(HEAD, exposure, after) is None


@pytest.mark.parametrize("kind", [RefusedError, StaleError, TransientError])
async def test_what_keeps_one_from_being_tended_is_told_once_all_were(kind: Any) -> None:
    tended: list[int] = []

    async def fail(*_: object) -> None:
        raise kind("not this one")

    async def tend(*_: object) -> None:
        await asyncio.sleep(0)
        tended.append(1)

    both = armament(SimpleNamespace(tend=fail), SimpleNamespace(tend=tend))
    if kind is TransientError:
        with pytest.raises(TransientError):
            await both.tend(HEAD, exposure, after)
    else:
        assert isinstance(await both.tend(HEAD, exposure, after), kind)
    assert tended == [1]
