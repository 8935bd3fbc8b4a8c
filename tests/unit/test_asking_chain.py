"""The chain id is asked for before anything is signed, perhaps while others are waited for."""

import asyncio
from collections.abc import Sequence

import pytest

from keeper.core.errors import RefusedError
from keeper.core.plan import Submission
from keeper.core.values import replace
from keeper.executor.nonce import NonceKeeper
from keeper.executor.signing import SigningDesk
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import plan
from tests.support.signed_plans import SIGNER

CHAIN = 31337
PLAN = replace(plan(), transaction=replace(plan().transaction, sender=SIGNER.address))


class Answering(FakeWire):
    """A node that is on one chain after the other."""

    def __init__(self, *chains: int) -> None:
        super().__init__()
        self.chains = list(chains)

    async def chain_id(self) -> int:
        return self.chains.pop(0)


def desk_of(wire: FakeWire) -> SigningDesk:
    nonces = NonceKeeper(wire, SIGNER.address)
    return SigningDesk(chain_id=CHAIN, signer=SIGNER, wire=wire, nonces=nonces)


async def sign(desk: SigningDesk) -> Sequence[Submission]:
    return await desk.sign([PLAN], held=(), target_block=8, lane="mempool")


async def test_what_was_asked_beforehand_is_not_asked_again() -> None:
    wire = Answering(CHAIN)
    desk = desk_of(wire)
    desk.ask_chain()
    assert len(await sign(desk)) == 1
    assert wire.chains == []


async def test_an_answer_is_good_for_one_signing() -> None:
    desk = desk_of(Answering(CHAIN, 1))
    desk.ask_chain()
    await sign(desk)
    with pytest.raises(RefusedError, match="expected 31337, found 1; nothing was signed"):
        await sign(desk)


async def test_a_node_that_was_on_another_chain_when_it_was_asked_has_nothing_signed() -> None:
    desk = desk_of(Answering(1, CHAIN))
    desk.ask_chain()
    with pytest.raises(RefusedError, match="found 1; nothing was signed"):
        await sign(desk)
    assert desk.nonces.upcoming(()) is None


async def test_an_answer_that_nobody_waits_for_is_replaced_by_the_next_one() -> None:
    desk = desk_of(Answering(1, CHAIN))
    desk.ask_chain()
    desk.ask_chain()
    assert len(await sign(desk)) == 1


async def test_one_who_asks_meanwhile_does_not_break_who_waits_for_the_answer() -> None:
    # A price is planned for ahead while another's transactions are rehearsed.
    desk = desk_of(Answering(CHAIN, CHAIN))
    desk.ask_chain()
    waiting = asyncio.ensure_future(desk.confirmed())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    desk.ask_chain()
    assert await waiting


async def test_one_who_signs_meanwhile_does_not_break_who_waits_for_the_answer() -> None:
    desk = desk_of(Answering(CHAIN))
    desk.ask_chain()
    waiting = asyncio.ensure_future(desk.confirmed())
    await asyncio.sleep(0)
    desk.took(7)
    assert await waiting
