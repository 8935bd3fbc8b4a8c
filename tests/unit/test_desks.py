"""Several signers of one chain: who sends what, and that one who does not sign spoils no other."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from keeper.core.chain import Fees, Transaction
from keeper.core.errors import StaleError, TransientError
from keeper.core.plan import Plan
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.evm.signed_transaction import decode_signed
from keeper.evm.transaction import LocalSigner
from keeper.executor.desks import Desks, Signed
from keeper.executor.flight import Flight
from keeper.executor.nonce import NonceKeeper
from keeper.executor.policy import Exposure, worst_gas
from keeper.executor.signing import SigningDesk
from tests.support.eventually import PATIENCE_S
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import plan
from tests.support.signed_plans import SIGNER as ONE
from tests.support.signed_plans import signed

TWO = LocalSigner(bytes(31) + b"\x02", chain_id=31337)
THREE = LocalSigner(bytes(31) + b"\x03", chain_id=31337)
WORST = worst_gas(plan())
RICH = 10**24


@dataclass(slots=True)
class SilentWire(FakeWire):
    """A node that does not say which chain it is on."""

    async def chain_id(self) -> int:
        raise TransientError("no answer")


@dataclass(slots=True)
class SplitWire(FakeWire):
    """Nodes that do not agree how many nonces are used."""

    async def nonce(self, sender: Address, *, pending: bool) -> int:
        raise StaleError(f"{sender}, {pending}: told otherwise")


@dataclass(slots=True)
class CountingWire(FakeWire):
    """A node that counts how often it is asked which chain it is on."""

    asked: int = 0

    async def chain_id(self) -> int:
        self.asked += 1
        return 31337


class Afar(LocalSigner):
    """A key that is not in this process."""

    is_instant = False


def desk(
    signer: LocalSigner, *, wire: FakeWire | None = None, chain_id: int = 31337
) -> SigningDesk:
    node = wire or FakeWire(used=5)
    return SigningDesk(
        chain_id=chain_id, signer=signer, wire=node, nonces=NonceKeeper(node, signer.address)
    )


def by(signer: LocalSigner, number: int) -> Plan:
    one = plan(number)
    return replace(one, transaction=replace(one.transaction, sender=signer.address))


def holding(balances: Mapping[LocalSigner, int]) -> Exposure:
    return Exposure(
        spent_hour=0,
        spent_day=0,
        at_stake=0,
        in_flight=0,
        busy=frozenset(),
        balances={signer.address: wei for signer, wei in balances.items()},
    )


def senders(plans: list[Plan]) -> list[Address]:
    return [one.transaction.sender for one in plans]


THREE_DESKS = Desks([desk(ONE), desk(TWO), desk(THREE)])
ALL_RICH = holding(dict.fromkeys((ONE, TWO, THREE), RICH))
PLANS = [plan(number) for number in range(1, 6)]


def test_each_plan_goes_to_whom_has_the_fewest_in_flight_and_the_plans_keep_their_order() -> None:
    flight = Flight()
    for nonce, number in ((5, 8), (6, 9)):
        flight.took_off(by(ONE, number), signed(by(ONE, number), nonce))
    spread = THREE_DESKS.spread(PLANS, flight, ALL_RICH, 0)
    two, three, one = TWO.address, THREE.address, ONE.address
    assert senders(spread) == [two, three, two, three, one]
    assert [one.id for one in spread] == [one.id for one in PLANS]


def test_whoever_would_fall_under_the_floor_comes_last_also_by_what_he_was_just_given() -> None:
    floor = 10**18
    exposure = holding({ONE: floor + 2 * WORST, TWO: floor + WORST - 1, THREE: floor + WORST})
    spread = THREE_DESKS.spread(PLANS[:4], Flight(), exposure, floor)
    assert senders(spread) == [ONE.address, THREE.address, ONE.address, TWO.address]
    nobody = holding({ONE: floor, TWO: floor, THREE: floor})
    spread = THREE_DESKS.spread(PLANS[:3], Flight(), nobody, floor)
    assert senders(spread) == [ONE.address, TWO.address, THREE.address]


def test_behind_what_missed_its_block_is_nobodys_place_but_where_all_wait() -> None:
    floor = 10**18
    late = replace(ALL_RICH, held_up=frozenset({ONE.address}))
    spread = THREE_DESKS.spread(PLANS[:3], Flight(), late, floor)
    assert senders(spread) == [TWO.address, THREE.address, TWO.address]
    poor = replace(holding({ONE: RICH, TWO: 0, THREE: 0}), held_up=frozenset({ONE.address}))
    assert senders(THREE_DESKS.spread(PLANS[:1], Flight(), poor, floor)) == [ONE.address]
    everybody = frozenset(one.address for one in (ONE, TWO, THREE))
    spread = THREE_DESKS.spread(PLANS[:3], Flight(), replace(ALL_RICH, held_up=everybody), floor)
    assert senders(spread) == [ONE.address, TWO.address, THREE.address]


def test_who_waits_is_known_by_the_first_block_that_was_missed_whatever_came_after() -> None:
    flight, sent = Flight(), signed(by(ONE, 1), 5)
    flight.took_off(by(ONE, 1), sent)
    late = frozenset({ONE.address})
    assert flight.held_up({ONE.address: 5}, sent.target_block - 1) == frozenset()
    assert flight.held_up({ONE.address: 5}, sent.target_block) == late
    flight.replaced(replace(sent, target_block=sent.target_block + 9))
    assert flight.held_up({ONE.address: 5}, sent.target_block) == late
    assert flight.held_up({ONE.address: 6}, sent.target_block) == frozenset(), "it ran"


def test_what_one_has_at_stake_is_not_there_for_more() -> None:
    staked = replace(
        holding({ONE: 2 * WORST, TWO: WORST, THREE: 0}), staked={ONE.address: 2 * WORST}
    )
    assert senders(THREE_DESKS.spread(PLANS[:1], Flight(), staked, 0)) == [TWO.address]


def test_where_there_is_one_signer_the_plans_are_as_they_are() -> None:
    assert Desks([desk(ONE)]).spread(PLANS, Flight(), ALL_RICH, 0) == PLANS


def test_a_desk_is_found_by_its_address_and_the_first_is_the_first() -> None:
    first, second = desk(ONE), desk(TWO)
    desks = Desks([first, second])
    assert (desks.first, desks.addresses) == (first, (ONE.address, TWO.address))
    assert desks.of(TWO.address) is second


def test_signing_ahead_is_for_keys_that_are_all_in_this_process() -> None:
    afar = Afar(bytes(31) + b"\x04", chain_id=31337)
    assert Desks([desk(ONE), desk(TWO)]).are_instant
    assert not Desks([desk(ONE), desk(afar)]).are_instant


async def signed_by(*desks: SigningDesk, flight: Flight | None = None) -> Signed:
    """Have plans of the three signed, one after the other and then again of the first."""
    plans = [by(ONE, 1), by(TWO, 2), by(THREE, 3), by(ONE, 4)]
    return await Desks(desks).sign(plans, flight or Flight(), target_block=102, lane="mempool")


def nonces(found: Signed) -> list[tuple[str, Address, int]]:
    """Return who signed what, as the bytes say it, in order."""
    return [
        (of.id, one.sender, decode_signed(one.raw, sender=of.transaction.sender).nonce)
        for of, one in found.pairs
    ]


ALL_SIGNED = [
    (plan(1).id, ONE.address, 5),
    (plan(2).id, TWO.address, 5),
    (plan(3).id, THREE.address, 5),
    (plan(4).id, ONE.address, 6),
]


async def test_each_signs_its_own_with_its_own_nonces_in_the_order_of_the_plans() -> None:
    found = await signed_by(desk(THREE), desk(TWO), desk(ONE))
    assert nonces(found) == ALL_SIGNED
    assert found.refused == ()
    assert {(one.target_block, one.lane) for _, one in found.pairs} == {(102, "mempool")}


async def test_nonces_that_are_in_flight_are_left_out_for_their_own_signer() -> None:
    flight = Flight()
    flight.took_off(by(ONE, 9), signed(by(ONE, 9), 5))
    found = await signed_by(desk(ONE), desk(TWO), desk(THREE), flight=flight)
    assert [nonce for _, _, nonce in nonces(found)] == [6, 5, 5, 7]


REFUSES = "chain id: expected 1, found 31337; nothing was signed"


async def test_one_that_refuses_spoils_no_other_and_all_of_its_own_are_told_why() -> None:
    found = await signed_by(desk(ONE, chain_id=1), desk(TWO), desk(THREE))
    assert nonces(found) == ALL_SIGNED[1:3]
    assert [(one.id, why) for one, why in found.refused] == [
        (plan(1).id, REFUSES),
        (plan(4).id, REFUSES),
    ]


async def test_one_that_does_not_answer_spoils_no_other_either() -> None:
    found = await signed_by(desk(ONE), desk(TWO, wire=SilentWire()), desk(THREE))
    assert nonces(found) == [ALL_SIGNED[0], *ALL_SIGNED[2:]]
    assert [(one.id, why) for one, why in found.refused] == [(plan(2).id, "no answer")]


class Slow(Afar):
    """A key elsewhere, at a signer that answers nobody before it was asked by all."""

    def __init__(self, key: bytes, all_asked: asyncio.Barrier) -> None:
        super().__init__(key, chain_id=31337)
        self.all_asked = all_asked

    async def sign_soon(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        await self.all_asked.wait()
        return self.sign(transaction, nonce=nonce, gas_limit=gas_limit, fees=fees)


async def test_keys_elsewhere_are_waited_for_all_at_once() -> None:
    all_asked = asyncio.Barrier(3)
    keys = [Slow(bytes(31) + bytes((number,)), all_asked) for number in (1, 2, 3)]
    plans = [by(one, number) for number, one in enumerate(keys, 1)]
    desks = Desks([desk(one) for one in keys])
    async with asyncio.timeout(PATIENCE_S):
        found = await desks.sign(plans, Flight(), target_block=102, lane="mempool")
    assert [of.id for of, _ in found.pairs] == [one.id for one in plans]


async def test_where_nodes_do_not_agree_on_the_nonce_of_one_the_others_leave_no_gap() -> None:
    first = desk(ONE)
    found = await signed_by(first, desk(TWO, wire=SplitWire()), desk(THREE))
    assert nonces(found) == [ALL_SIGNED[0], *ALL_SIGNED[2:]]
    assert [one.id for one, _ in found.refused] == [plan(2).id]
    assert await first.nonces.take(1, ()) == [7], "what it signed for is on its way out"


async def test_where_nobody_signed_and_nodes_do_not_agree_it_may_be_tried_again() -> None:
    with pytest.raises(StaleError, match="told otherwise"):
        await Desks([desk(TWO, wire=SplitWire())]).sign(
            [by(TWO, 2)], Flight(), target_block=102, lane="mempool"
        )


async def test_where_nobody_signed_and_one_did_not_answer_it_may_be_tried_again() -> None:
    with pytest.raises(TransientError, match="no answer"):
        await signed_by(
            desk(ONE, chain_id=1), desk(TWO, wire=SilentWire()), desk(THREE, chain_id=1)
        )


async def test_one_that_has_nothing_to_sign_is_not_asked() -> None:
    desks = Desks([desk(ONE, chain_id=1), desk(TWO, wire=SilentWire())])
    found = await desks.sign([by(ONE, 1)], Flight(), target_block=102, lane="mempool")
    assert [(one.id, why) for one, why in found.refused] == [(plan(1).id, REFUSES)]


async def test_where_all_refuse_there_is_nothing_to_be_tried_again() -> None:
    found = await signed_by(*(desk(one, chain_id=1) for one in (ONE, TWO, THREE)))
    assert (found.pairs, len(found.refused)) == ((), 4)


async def test_the_chain_is_asked_beforehand_for_those_who_will_sign_and_once_each() -> None:
    first, second = CountingWire(used=5), CountingWire(used=5)
    desks = Desks([desk(ONE, wire=first), desk(TWO, wire=second)])
    desks.ask_chain([TWO.address])
    await asyncio.sleep(0)
    assert (first.asked, second.asked) == (0, 1)
    await desks.sign([by(ONE, 1), by(TWO, 2)], Flight(), target_block=102, lane="mempool")
    assert (first.asked, second.asked) == (1, 1)
