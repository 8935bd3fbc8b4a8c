"""A halt takes back all bundles at once, each builder being asked a few at a time."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from keeper.chain.endpoint import parse_endpoint
from keeper.chain.relay import Relay
from keeper.core.errors import RefusedError
from keeper.core.plan import Plan, Purpose, Status, Submission
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.lanes.bundle import BundleLane
from keeper.executor.lanes.lane import AT_ONCE, Delivery, Refused, Taken
from tests.support.eventually import eventually
from tests.support.ledger_records import plan
from tests.support.relay import TestRelay, running_relay
from tests.support.signed_plans import signed
from tests.unit.test_tending import GWEI, OURS, Way, Yard

MANY = 3 * AT_ONCE


def made(number: int) -> Plan:
    return replace(plan(number), transaction=OURS.transaction)


def fly(flight: Flight, number: int, lane: str = "builders") -> Submission:
    sent = replace(signed(made(number), number, max_fee=90 * GWEI), lane=lane)
    flight.took_off(made(number), sent)
    return sent


def served(relay: TestRelay, session: aiohttp.ClientSession) -> Relay:
    relay.check_signature = False
    relay.stall_s = 0.05
    return Relay(endpoint=parse_endpoint(relay.url), session=session, identity=None)


async def test_bundles_are_taken_back_several_at_a_time_at_each_builder() -> None:
    with running_relay("http://nobody") as one, running_relay("http://nobody") as other:
        async with aiohttp.ClientSession() as session:
            relays = [served(one, session), served(other, session)]
            lane: Any = BundleLane(relays, name="builders")
            yard = Yard(lane, halted="by hand")
            sent = [fly(yard.flight, number) for number in range(MANY)]
            await yard.tend(101)
    for relay in (one, other):
        assert relay.count("eth_cancelBundle") == MANY
        assert 1 < relay.most_waiting <= AT_ONCE
    assert [done.plan_id for done in yard.settled] == [each.plan_id for each in reversed(sent)]
    assert {done.status for done in yard.settled} == {Status.DROPPED}
    assert yard.flight.airborne == {}


@dataclass
class Busy(Way):
    """A lane by which something takes off while the first bundle is taken back."""

    flight: Flight = field(default_factory=Flight)

    async def withdraw(self, one: Submission) -> bool:
        await asyncio.sleep(0)
        if 7 not in self.flight.held(one.sender):
            fly(self.flight, 7)
        return await Way.withdraw(self, one)


async def test_nothing_is_dropped_below_what_took_off_meanwhile() -> None:
    lane = Busy("builders", expires=True)
    yard = Yard(lane, halted="by hand", flight=lane.flight)
    sent = fly(yard.flight, 3)
    await yard.tend(101)
    assert (lane.withdrawn, yard.settled) == ([sent], [])


async def test_what_is_below_another_lanes_is_cancelled_and_what_is_above_is_taken_back() -> None:
    lane = Way("builders", expires=True)
    yard = Yard(lane, halted="by hand")
    low, _, high = fly(yard.flight, 0), fly(yard.flight, 1, "mempool"), fly(yard.flight, 2)
    await yard.tend(101)
    assert lane.withdrawn == [high]
    assert [done.plan_id for done in yard.settled] == [high.plan_id]
    assert [(one.nonce, one.purpose) for one in lane.sent] == [(low.nonce, Purpose.CANCEL)]


def ordered_while_it_runs(relay: TestRelay, orders: list[str]) -> None:
    """Have a halt ordered while the builder runs what it is asked to."""

    def run(_: object) -> dict[str, object]:
        orders.append("by hand")
        return {"results": []}

    setattr(relay, "do_eth_callBundle", run)  # noqa: B010 - a method of this one alone


async def test_what_a_builder_still_runs_when_a_halt_comes_is_offered_to_nobody() -> None:
    orders: list[str] = []
    with running_relay("http://nobody") as one, running_relay("http://nobody") as other:
        ordered_while_it_runs(one, orders)
        runs(other, None)
        async with aiohttp.ClientSession() as session:
            relays = [served(one, session), served(other, session)]
            lane = BundleLane(relays, name="builders", halted=lambda: next(iter(orders), None))
            sent = fly(Flight(), 0)
            assert await lane.send([sent], lead=b"an update") == [
                Refused(why="nothing is sent: by hand")
            ]
            cancel = replace(sent, purpose=Purpose.CANCEL)
            assert await lane.send([cancel]) == [Taken()]
    assert one.count("eth_callBundle") == 1
    assert [len(each.bundles) for each in (one, other)] == [1, 1]


async def test_a_builder_that_stalls_while_it_runs_a_bundle_keeps_it_from_no_other() -> None:
    with running_relay("http://nobody") as slow, running_relay("http://nobody") as quick:
        runs(quick, "")
        async with aiohttp.ClientSession() as session:
            relays = [served(slow, session), served(quick, session)]
            slow.stall_s = 1.0
            lane = BundleLane(relays, name="builders")
            sending = asyncio.ensure_future(lane.send([fly(Flight(), 0)], lead=b"an update"))
            await eventually(lambda: quick.bundles != {})
            assert slow.asked == [], "it has not answered anything yet"
            assert await sending == [Taken()]


@pytest.mark.parametrize(
    ("words", "delivery"),
    [
        (("reverted", ""), Taken()),
        (("", "reverted"), Taken()),
        (("reverted", "reverted"), "the builder ran the bundle and it failed: reverted"),
        (("reverted", None), "the builder ran the bundle and it failed: reverted"),
        ((None, None), Taken()),
    ],
)
async def test_a_bundle_is_offered_unless_every_builder_that_runs_it_says_that_it_fails(
    words: tuple[str | None, str | None], delivery: Delivery | str
) -> None:
    with running_relay("http://nobody") as one, running_relay("http://nobody") as other:
        for relay, said in zip((one, other), words, strict=True):
            runs(relay, said)
        async with aiohttp.ClientSession() as session:
            lane = BundleLane([served(one, session), served(other, session)], name="builders")
            (found,) = await lane.send([fly(Flight(), 0)], lead=b"an update")
    assert found == (Refused(why=delivery) if isinstance(delivery, str) else delivery)


def runs(relay: TestRelay, said: str | None) -> None:
    """Have a builder say why what it runs fails, nothing if it is good; None: it cannot run it."""

    def run(_: object) -> dict[str, object]:
        if said is None:
            raise RefusedError("no such method")
        return {"results": [{"txHash": "0x", "revert": said} if said else {"txHash": "0x"}]}

    setattr(relay, "do_eth_callBundle", run)  # noqa: B010 - a method of this one alone
