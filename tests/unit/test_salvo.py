"""What was signed ahead for a feed: who is due at a price, and who is not any more."""

import pytest

from keeper.app.trigger_price import crossing_price, last_admitted
from keeper.core.values import replace
from keeper.executor.salvo import NEAR, Salvo, Shot
from tests.support.ledger_records import plan, submission

ETH, BTC = "eth", "btc"


def shot(index, price, *, line=None, feeds=(ETH,)):
    """Return a shot planned at a price; its account is really under from ``line`` downwards."""
    one = plan(index)
    return Shot(
        plan=one,
        submission=submission(one, nonce=index),
        price=price,
        is_under=lambda asked: asked <= (line or price),
        feeds=frozenset(feeds),
    )


def salvo(*shots, **changes):
    falling = Salvo(feed=ETH, falls=True, shots=shots, lowest=1_000, highest=2_000, block=100)
    return replace(falling, **changes)


def due(of, price, block=101):
    return [one.plan.id for one in of.due(price, block)]


def test_a_fall_brings_a_prefix_in_the_order_in_which_accounts_cross():
    shots = [shot(1, 1_900), shot(2, 1_800), shot(3, 1_700)]
    falling = salvo(*shots)
    assert due(falling, 1_901) == []
    assert due(falling, 1_800) == [one.plan.id for one in shots[:2]]
    assert due(falling, 1_100) == [one.plan.id for one in shots]


def test_a_rise_brings_accounts_from_below():
    shots = [shot(1, 2_100), shot(2, 2_200)]
    rising = salvo(*shots, falls=False, lowest=2_000, highest=3_000)
    assert due(rising, 2_099) == []
    assert due(rising, 2_150) == [shots[0].plan.id]


def test_within_a_millionth_of_its_price_an_account_is_decided_exactly():
    price = 200_000_000_000
    near = shot(1, price, line=price + 100_000)
    wide = {"lowest": 1, "highest": 2 * price}
    assert due(salvo(near, **wide), price + 100_000) == [near.plan.id]
    assert due(salvo(near, **wide), price + 100_001) == []
    assert due(salvo(shot(1, price, line=2 * price), **wide), price + 300_000) == []


@pytest.mark.parametrize("block", [99, 100, 102])
def test_only_an_event_of_the_next_block_is_answered(block):
    assert due(salvo(shot(1, 1_900)), 1_500, block) == []


def test_a_price_that_a_guard_objects_to_brings_nobody():
    assert due(salvo(shot(1, 1_900)), 999) == []
    assert due(salvo(shot(1, 2_500)), 2_001) == []


def test_the_last_prices_that_no_guard_objects_to_are_answered():
    only = shot(1, 2_500)
    assert due(salvo(only), 1_000) == due(salvo(only), 2_000) == [only.plan.id]


def test_at_its_very_price_an_account_is_due_either_way():
    falling, rising = shot(1, 1_900), shot(2, 2_100)
    assert due(salvo(falling), 1_900) == [falling.plan.id]
    up = salvo(rising, falls=False, lowest=2_000, highest=3_000)
    assert due(up, 2_100) == [rising.plan.id]


def test_the_nearness_that_is_decided_exactly_is_a_millionth_and_no_less():
    price = 2 * NEAR
    near = shot(1, price, line=2 * price)
    wide = {"lowest": 1, "highest": 2 * price}
    assert due(salvo(near, **wide), price + 2) == [near.plan.id]
    assert due(salvo(near, **wide), price + 3) == []


def test_what_policy_cleared_is_cleared_anew_once_an_account_is_out():
    first, second = shot(1, 1_900), shot(2, 1_800, feeds=(ETH, BTC))
    cleared = salvo(first, second, cleared=2, as_of=7)
    assert cleared.without(frozenset({first.ref})).cleared == 0
    assert cleared.after(frozenset({BTC})).cleared == 0
    assert cleared.without(frozenset()) is cleared
    assert cleared.after(frozenset({ETH})) is cleared


def test_an_account_that_changed_is_out_and_the_others_keep_their_nonces():
    first, second = shot(1, 1_900), shot(2, 1_800)
    kept = salvo(first, second).without(frozenset({first.ref}))
    assert [one.submission.nonce for one in kept.shots] == [2]


def test_an_account_that_depends_on_another_feed_that_moved_is_out():
    alone, both = shot(1, 1_900), shot(2, 1_800, feeds=(ETH, BTC))
    assert salvo(alone, both).after(frozenset({BTC})).shots == (alone,)
    assert salvo(alone, both).after(frozenset({ETH})).shots == (alone, both)


@pytest.mark.parametrize("line", [1_000_000, 999_999, 999_700, 999_500])
def test_the_crossing_price_is_under_the_line_and_next_to_it(line):
    found = crossing_price(lambda price: price <= line, 1_000_000, falls=True)
    assert line - 1 <= found <= line


def test_the_crossing_price_of_a_rise_is_above_the_line():
    found = crossing_price(lambda price: price >= 1_000_300, 1_000_000, falls=False)
    assert 1_000_300 <= found <= 1_000_301


def test_an_account_that_is_not_under_near_its_hint_has_no_crossing_price():
    assert crossing_price(lambda price: price <= 999_000, 1_000_000, falls=True) is None


def test_the_last_admitted_price_is_next_to_the_first_that_is_not():
    assert last_admitted(lambda price: price > 1_600, 2_000, falls=True) == 1_601
    assert last_admitted(lambda price: 0 < price < 2_600, 2_000, falls=False) == 2_599
