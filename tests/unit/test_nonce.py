"""One writer of nonces: in order, never one that an open intent holds."""

import asyncio
from types import SimpleNamespace
from typing import Any

from keeper.core.values import replace
from keeper.executor.desks import Desks
from keeper.executor.endings import dropped
from keeper.executor.flight import Flight
from keeper.executor.nonce import UNEXPLAINED_S, NonceKeeper, foreign_nonce
from keeper.executor.signing import SigningDesk
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import OPERATOR, HandClock, block, hash32, plan
from tests.support.signed_plans import SIGNER

NOTHING: frozenset[int] = frozenset()


async def taken(keeper: NonceKeeper, count: int, *held: int) -> list[int]:
    """Take nonces and use them."""
    found = await keeper.take(count, held)
    for nonce in found:
        keeper.used(nonce)
    return found


def told(keeper: NonceKeeper, confirmed: int) -> range:
    """Return the nonces that are not known as ours, and account for them."""
    found = keeper.unaccounted(confirmed)
    keeper.accounted(confirmed)
    return found


async def test_the_chain_is_asked_once_and_counted_on_from_there() -> None:
    wire = FakeWire(used=5, queued=2)
    keeper = NonceKeeper(wire, OPERATOR)
    assert await taken(keeper, 2) == [7, 8]
    wire.used = 99
    assert await taken(keeper, 1) == [9]
    assert wire.asked_nonces == [OPERATOR]


async def test_a_nonce_that_is_not_used_is_handed_out_again() -> None:
    keeper = NonceKeeper(FakeWire(used=5), OPERATOR)
    assert await keeper.take(1, NOTHING) == [5]
    assert await keeper.take(2, NOTHING) == [5, 6]


async def test_nonces_of_open_intents_are_left_out_and_the_gap_below_is_filled_first() -> None:
    # After a restart: 6 and 8 were signed and never seen by the node, 5 and 7 are free.
    keeper = NonceKeeper(FakeWire(used=5), OPERATOR)
    assert await keeper.take(3, {6, 8}) == [5, 7, 9]


async def test_after_a_refusal_the_chain_is_asked_again() -> None:
    wire = FakeWire(used=5)
    keeper = NonceKeeper(wire, OPERATOR)
    assert await taken(keeper, 1) == [5]
    keeper.released(5)
    assert await taken(keeper, 1) == [5]
    assert wire.asked_nonces == [OPERATOR, OPERATOR]


async def test_a_dropped_transaction_leaves_no_gap() -> None:
    wire = FakeWire(used=5)
    keeper = NonceKeeper(wire, OPERATOR)
    assert await taken(keeper, 2) == [5, 6]
    keeper.resync()
    # The node lost 5; 6 is still open.
    assert await taken(keeper, 2, 6) == [5, 7]


async def test_what_was_given_up_as_lost_leaves_no_gap_below_the_next_one() -> None:
    wire = FakeWire(used=5)
    of = replace(plan(), transaction=replace(plan().transaction, sender=SIGNER.address))
    keeper = NonceKeeper(wire, SIGNER.address)
    desks = Desks([SigningDesk(chain_id=31337, signer=SIGNER, wire=wire, nonces=keeper)])
    flight = Flight()
    made = await desks.sign([of], flight, target_block=8, lane="mempool")
    flight.took_off(*made.pairs[0])
    intent = flight.airborne[of.id].intent
    flight.landed(of.id)
    desks.settled(intent, dropped(intent, "the node lost it and its deadline has passed"))
    again = await desks.sign([of], flight, target_block=99, lane="mempool")
    assert [one.nonce for _, one in (*made.pairs, *again.pairs)] == [5, 5]
    # Should the first land after all, it is nobody else's.
    assert not told(keeper, 6)


async def test_a_nonce_that_somebody_else_used_is_noticed_once() -> None:
    keeper = NonceKeeper(FakeWire(used=5), OPERATOR, highest=4)
    keeper.begin(5)
    assert not told(keeper, 5)
    assert await taken(keeper, 1) == [5]
    assert not told(keeper, 6)
    assert told(keeper, 8)[-1] == 7
    assert not told(keeper, 8)


async def test_what_happened_before_the_first_run_is_nobody_else_s() -> None:
    keeper = NonceKeeper(FakeWire(used=40), OPERATOR)
    keeper.begin(40)
    assert not told(keeper, 40)


async def test_use_of_the_key_between_start_and_the_first_look_is_somebody_else_s() -> None:
    keeper = NonceKeeper(FakeWire(used=40), OPERATOR)
    keeper.begin(40)
    assert told(keeper, 41)[-1] == 40


async def test_use_of_the_key_while_no_keeper_ran_is_told_as_such_and_once() -> None:
    keeper = NonceKeeper(FakeWire(used=7), OPERATOR, highest=4)
    keeper.begin(7)
    assert told(keeper, 7) == range(5, 7)
    assert not told(keeper, 7)
    assert told(keeper, 8)[-1] == 7
    assert [keeper.is_of_before(nonce) for nonce in (6, 7)] == [True, False]


async def test_what_an_earlier_run_left_pending_is_ours_when_it_lands() -> None:
    keeper = NonceKeeper(FakeWire(used=3), OPERATOR, highest=4)
    keeper.begin(3)
    assert not told(keeper, 5)


async def test_the_next_nonce_is_told_without_asking_once_the_chain_was_asked() -> None:
    wire = FakeWire(used=5)
    keeper = NonceKeeper(wire, OPERATOR)
    assert keeper.upcoming(NOTHING) is None
    await taken(keeper, 1)
    assert keeper.upcoming(NOTHING) == 6
    assert keeper.upcoming({6, 7, 8, 10}) == 9
    assert wire.asked_nonces == [OPERATOR]


async def test_a_refused_nonce_that_somebody_else_uses_then_is_noticed() -> None:
    keeper = NonceKeeper(FakeWire(used=5), OPERATOR, highest=4)
    keeper.begin(5)
    assert await taken(keeper, 2) == [5, 6]
    keeper.released(6)
    assert not told(keeper, 6)
    assert told(keeper, 7)[-1] == 6


async def test_a_refused_nonce_below_another_of_ours_is_still_ours() -> None:
    keeper = NonceKeeper(FakeWire(used=5), OPERATOR, highest=4)
    keeper.begin(5)
    assert await taken(keeper, 2) == [5, 6]
    keeper.released(5)
    assert not told(keeper, 7)


async def test_the_highest_nonce_of_the_journal_is_ours_and_the_one_above_it_is_not() -> None:
    keeper = NonceKeeper(FakeWire(used=5), OPERATOR, highest=5)
    assert not told(keeper, 6)
    assert told(keeper, 7)[-1] == 6


async def test_a_nonce_used_out_of_turn_takes_nothing_back() -> None:
    keeper = NonceKeeper(FakeWire(used=5), OPERATOR, highest=4)
    keeper.used(9)
    keeper.used(5)
    assert not told(keeper, 10)
    assert keeper.upcoming(NOTHING) == 6


async def test_a_key_that_was_never_used_before_a_first_run_is_no_foreign_use() -> None:
    keeper = NonceKeeper(FakeWire(used=1), OPERATOR, highest=0)
    keeper.begin(1)
    assert not told(keeper, 1)
    again = NonceKeeper(FakeWire(used=2), OPERATOR, highest=0)
    again.begin(2)
    assert told(again, 2) == range(1, 2)


async def test_after_use_of_the_key_by_others_the_chain_is_asked_for_the_next_nonce() -> None:
    wire = FakeWire(used=5)
    keeper = NonceKeeper(wire, OPERATOR, highest=4)
    assert await keeper.take(1, NOTHING) == [5]
    wire.used = 8
    assert told(keeper, 8)
    assert await keeper.take(1, NOTHING) == [8]


def test_a_doubt_lasts_from_the_head_at_which_it_came_up_and_ends_when_all_is_accounted_for() -> (
    None
):
    clock = HandClock()
    keeper = NonceKeeper(FakeWire(), OPERATOR, highest=4, now=clock.monotonic)
    assert not keeper.doubts.lasted(5, block(101))
    clock.seconds += UNEXPLAINED_S
    assert not keeper.doubts.lasted(6, block(102))
    assert keeper.doubts.lasted(5, block(102))
    keeper.accounted(7)
    assert not keeper.doubts.lasted(5, block(103))


async def test_a_doubt_about_a_nonce_that_a_reorg_frees_begins_anew_when_it_is_used_again() -> None:
    wire: Any = FakeWire()
    clock = HandClock()
    keeper = NonceKeeper(wire, OPERATOR, highest=4, now=clock.monotonic)
    signed: Any = SimpleNamespace(signed_with=lambda *_: asyncio.sleep(0, [hash32(1)]))
    for confirmed, number in ((6, 101), (5, 102), (6, 150)):
        assert await foreign_nonce(keeper, signed, wire, confirmed, block(number)) is None
        clock.seconds += UNEXPLAINED_S
    wire.used = 6
    assert await foreign_nonce(keeper, signed, wire, 6, block(151)) == 5
