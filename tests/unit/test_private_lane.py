"""A burst goes to a private relay several at a time, in the order of the nonces."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from keeper.chain.endpoint import parse_endpoint
from keeper.chain.relay import Relay
from keeper.core.errors import RefusedError, TransientError
from keeper.core.plan import Purpose, Submission
from keeper.core.values import replace
from keeper.executor.lanes.lane import AT_ONCE, Refused, Taken, Uncertain
from keeper.executor.lanes.private import PrivateLane
from tests.support.ledger_records import plan
from tests.support.relay import running_relay
from tests.support.signed_plans import SIGNER, signed

PLAN = replace(plan(), transaction=replace(plan().transaction, sender=SIGNER.address))
BURST = [signed(PLAN, nonce) for nonce in range(3 * AT_ONCE)]


def raw_of(one: Submission) -> str:
    return "0x" + one.raw.hex()


@dataclass
class Hand:
    """A relay by hand, which answers when it is told to."""

    asked: list[str] = field(default_factory=list)
    answers: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    name: str = "by hand"

    async def ask(self, method: str, *params: Any) -> object:
        (wanted,) = params
        asked = {"eth_sendPrivateTransaction": "tx", "eth_cancelPrivateTransaction": "txHash"}
        raw = wanted[asked[method]]
        self.asked.append(raw)
        self.answers[raw] = asyncio.get_running_loop().create_future()
        await self.answers[raw]
        return raw


async def settled() -> None:
    """Let everything go on that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_than_so_many_are_under_way_and_each_follows_the_one_before() -> None:
    relay = Hand()
    lane = PrivateLane(relay, name="relay", blocks=5)
    sending = asyncio.create_task(lane.send(BURST))
    await settled()
    assert relay.asked == [raw_of(one) for one in BURST[:AT_ONCE]]
    for number, one in enumerate(reversed(BURST[:AT_ONCE]), start=1):  # answered in any order
        relay.answers[raw_of(one)].set_result(None)
        await settled()
        assert relay.asked == [raw_of(other) for other in BURST[: AT_ONCE + number]]
    for one in BURST[AT_ONCE:]:
        while raw_of(one) not in relay.answers:
            await settled()
        relay.answers[raw_of(one)].set_result(None)
    assert await sending == [Taken()] * len(BURST)
    assert relay.asked == [raw_of(one) for one in BURST]


async def test_what_is_asked_back_takes_its_turns_with_what_is_sent() -> None:
    relay = Hand()
    lane = PrivateLane(relay, name="relay", blocks=5)
    sending = asyncio.create_task(lane.send(BURST[:2]))
    await settled()
    asking = asyncio.gather(*map(lane.withdraw, BURST[:AT_ONCE]))
    await settled()
    assert len(relay.asked) == AT_ONCE
    while not asking.done():
        for answer in relay.answers.values():
            if not answer.done():
                answer.set_result(None)
        await settled()
    assert await sending == [Taken()] * 2
    assert await asking == [True] * AT_ONCE


async def test_what_waits_for_its_turn_when_a_halt_comes_is_not_sent_but_to_cancel() -> None:
    relay, halted = Hand(), list[str]()
    lane = PrivateLane(relay, name="relay", blocks=5, halted=lambda: next(iter(halted), None))
    cancel = replace(BURST[-1], purpose=Purpose.CANCEL)
    sending = asyncio.create_task(lane.send([*BURST[:-1], cancel]))
    await settled()
    halted.append("by hand")
    for one in BURST[:AT_ONCE]:
        relay.answers[raw_of(one)].set_result(None)
    await settled()
    relay.answers[raw_of(cancel)].set_result(None)
    waited = len(BURST) - AT_ONCE - 1
    assert await sending == [
        *[Taken()] * AT_ONCE,
        *[Refused(why="nothing is sent: by hand")] * waited,
        Taken(),
    ]
    assert relay.asked == [raw_of(one) for one in (*BURST[:AT_ONCE], cancel)]


async def test_what_became_of_each_is_told_of_each() -> None:
    relay = Hand()
    sending = asyncio.create_task(PrivateLane(relay, name="relay", blocks=5).send(BURST[:3]))
    await settled()
    first, second, third = (relay.answers[raw_of(one)] for one in BURST[:3])
    third.set_result(None)
    second.set_exception(TransientError("too many"))
    first.set_exception(RefusedError("no"))
    assert await sending == [Refused(why="no"), Uncertain(why="too many"), Taken()]


async def test_a_burst_is_with_a_real_relay_several_at_a_time() -> None:
    with running_relay("http://nobody") as served:
        served.check_signature = False
        served.stall_s = 0.05
        async with aiohttp.ClientSession() as session:
            relay = Relay(endpoint=parse_endpoint(served.url), session=session, identity=None)
            deliveries = await PrivateLane(relay, name="relay", blocks=5).send(BURST)
    assert deliveries == [Taken()] * len(BURST)
    assert set(served.private) == {one.tx_hash for one in BURST}
    assert 1 < served.most_waiting <= AT_ONCE
