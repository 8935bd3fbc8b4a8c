"""What is signed ahead: with which nonces, by which signer, and what is not."""

import asyncio

import pytest

from keeper.core.chain import Fees
from keeper.core.errors import RefusedError
from keeper.core.values import replace
from keeper.evm.signed_transaction import decode_signed
from keeper.evm.transaction import LocalSigner
from keeper.executor.arming import Arming
from keeper.executor.desks import Desks
from keeper.executor.nonce import NonceKeeper
from keeper.executor.salvo import Shot
from keeper.executor.signing import SigningDesk
from tests.support.ledger_records import DEPLOYMENT, block, plan
from tests.support.prearm_yard import FEED, FIRST, LIMITS, PRICE, SPENT, salvo, yard_in
from tests.support.signed_plans import SIGNER


@pytest.fixture
async def yard(tmp_path):
    async with yard_in(tmp_path) as made:
        yield made


async def test_what_is_signed_ahead_is_spread_over_the_signers_each_with_its_own_nonces(yard):
    other = LocalSigner(bytes(31) + b"\x02", chain_id=31337)
    nonces = NonceKeeper(yard.wire, other.address)
    second = SigningDesk(chain_id=31337, signer=other, wire=yard.wire, nonces=nonces)
    yard.armament.desks = Desks([yard.desk, second])
    balances = dict.fromkeys(yard.armament.desks.addresses, 10**24)
    exposure = replace(SPENT, balances=balances)
    yard.executor.exposure = lambda _: asyncio.sleep(0, exposure)
    arming = Arming(
        prearm=yard.prearm, executor=yard.executor, armament=yard.armament, limits=LIMITS
    )
    await arming.ready(block(100))
    plans = [plan(n) for n in range(1, 6)]
    shots = [
        Shot(
            plan=one,
            submission=signed,
            price=PRICE - index,
            is_under=lambda _: False,
            feeds=frozenset({FEED}),
        )
        for index, (one, signed) in enumerate(arming.sign(plans, exposure, target_block=102))
    ]
    await yard.prearm.load(DEPLOYMENT, [salvo(*shots)], exposure)
    assert (yard.fire(PRICE - 2), yard.fire(PRICE - 4)) == (3, 2)
    assert yard.wire.posted == [one.submission.raw for one in shots]
    found = {one: [] for one in balances}
    for shot in shots:
        sender = shot.plan.transaction.sender
        assert shot.submission.sender == sender
        found[sender].append(decode_signed(shot.submission.raw, sender=sender).nonce)
    assert sorted(found.values()) == [[FIRST, FIRST + 1], [FIRST, FIRST + 1, FIRST + 2]]
    await yard.settle()


def arming(yard, limits=LIMITS):
    yard.executor.exposure = lambda _: asyncio.sleep(0, SPENT)
    return Arming(prearm=yard.prearm, executor=yard.executor, armament=yard.armament, limits=limits)


def ours(number, **changes):
    one = replace(plan(number), **changes)
    return replace(one, transaction=replace(one.transaction, sender=SIGNER.address))


async def test_what_policy_refuses_or_is_forced_is_not_signed_ahead_and_takes_no_nonce(yard):
    ready = arming(yard)
    exposure = await ready.ready(block(100))
    dear = ours(1, fees=Fees(max_fee=LIMITS.max_gas_price + 1, priority_fee=0))
    signed = ready.sign(
        [dear, ours(2), ours(3, forced=True, least_net=-1), ours(4)], exposure, target_block=102
    )
    assert [one.id for one, _ in signed] == [plan(2).id, plan(4).id]
    assert [submission.nonce for _, submission in signed] == [FIRST, FIRST + 1]


async def test_what_is_signed_ahead_counts_for_what_is_signed_behind_it(yard):
    ready = arming(yard, replace(LIMITS, max_in_flight=2))
    exposure = await ready.ready(block(100))
    signed = ready.sign([ours(1), ours(2), ours(3)], exposure, target_block=102)
    assert [one.id for one, _ in signed] == [plan(1).id, plan(2).id]


async def test_without_a_nonce_from_the_chain_nothing_is_signed_ahead(yard):
    assert arming(yard).sign([ours(1)], SPENT, target_block=102) == []


async def test_nothing_is_made_ready_on_another_chain(yard):
    yard.desk._chain_id = 1
    with pytest.raises(RefusedError, match="chain id: expected 1, found 31337"):
        await arming(yard).ready(block(100))


async def test_a_halt_and_whoever_waits_are_known_before_anything_is_planned_ahead(yard):
    ready, held = arming(yard), plan(1).ref
    yard.executor.waiting = lambda ref, at: "it failed" if (ref, at) == (held, 100) else None
    assert not ready.is_halted
    yard.halted = "somebody said so"
    assert ready.is_halted
    assert ready.waits(held, 100)
    assert not ready.waits(plan(2).ref, 100)
