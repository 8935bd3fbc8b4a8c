"""The screen and its ladder never miss what the exact rules find, and always find it again."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.health import view_at
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from keeper.scanner.lookout import Lookout, Rung
from tests.support.aave_crowd import markets, positions, ref_of
from tests.support.aave_market import PROVIDER

ADAPTER = AaveAdapter(
    deployment="aave_v3.test", start_block=0, parameters=Parameters(addresses_provider=PROVIDER)
)

Crowd = Mapping[AccountRef, AavePosition]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[AaveMarket, Crowd]:
    """A market and accounts, one of them with a price at which its verdict turns."""
    view = draw(markets())
    crowd = {ref_of(i + 1): draw(positions(view)) for i in range(draw(st.integers(1, 5)))}
    if view.prices and draw(st.booleans()):
        feed = draw(st.sampled_from(sorted(view.prices)))
        some = draw(st.sampled_from(sorted(crowd)))
        turn = turning_price(view, crowd[some], feed)
        prices = {**view.prices, feed: max(turn + draw(st.integers(-2, 2)), 0)}
        view = view_at(view, view.timestamp, prices)
    return view, crowd


def turning_price(view: AaveMarket, position: AavePosition, feed: str) -> int:
    """Return a price of a feed next to which the verdict changes, or the far end of the search."""
    low, high = 1, 10**19
    at_low = is_under(ADAPTER.repriced(view, {feed: low}), position)
    while high - low > 1:
        middle = (low + high) // 2
        if is_under(ADAPTER.repriced(view, {feed: middle}), position) == at_low:
            low = middle
        else:
            high = middle
    return high


def is_under(view: AaveMarket, position: AavePosition) -> bool:
    """Return whether an account is liquidatable, or cannot be judged."""
    try:
        return ADAPTER.assess(view, position).liquidatable
    except StaleError:
        return True


def under(view: AaveMarket, crowd: Crowd) -> set[AccountRef]:
    return {ref for ref, position in crowd.items() if is_under(view, position)}


def lookout_over(view: AaveMarket, crowd: Crowd) -> Lookout[AaveMarket, AavePosition]:
    lookout = Lookout(ADAPTER)
    lookout.change(view, crowd)
    lookout.see(view, view.prices)
    return lookout


@settings(max_examples=150, deadline=None)
@given(scenes())
def test_no_account_under_the_line_is_missed_by_the_screen(scene):
    view, crowd = scene
    sighting = lookout_over(view, crowd).under()
    assert sighting.rung is Rung.SCREEN
    assert under(view, crowd) <= set(sighting.refs)


@settings(max_examples=150, deadline=None)
@given(scenes(), st.data())
def test_no_account_under_the_line_is_missed_after_any_moves_of_prices(scene, data):
    view, crowd = scene
    lookout = lookout_over(view, crowd)
    lookout.adopt(lookout.build().run())
    feeds = sorted(view.prices)
    for _ in range(data.draw(st.integers(1, 4)) if feeds else 0):
        moved = data.draw(
            st.dictionaries(
                st.sampled_from(feeds),
                st.one_of(st.integers(0, 10**16), st.integers(9_900, 10_100)),
                min_size=1,
                max_size=2,
            )
        )
        prices = {
            feed: view.prices[feed] * by // 10_000 if 9_900 <= by <= 10_100 else by
            for feed, by in moved.items()
        }
        view = ADAPTER.repriced(view, prices)
        assert under(view, crowd) <= set(lookout.under_after(prices).refs)


@settings(max_examples=100, deadline=None)
@given(scenes(), st.data())
def test_a_lone_event_is_looked_up_and_misses_nobody(scene, data):
    view, crowd = scene
    lookout = lookout_over(view, crowd)
    lookout.adopt(lookout.build().run())
    exposures = [ADAPTER.exposure(view, one) for one in crowd.values()]
    keys = {key for one in exposures if one is not None for key, _ in one.terms}
    used = {ADAPTER.factor(view, key).feed for key in keys}
    feeds = sorted(feed for feed in used if feed and view.prices.get(feed, 0) > 0)
    if not feeds:
        return
    feed = data.draw(st.sampled_from(feeds))
    some = data.draw(st.sampled_from(sorted(crowd)))
    turn = turning_price(view, crowd[some], feed)
    for price in (turn - 1, turn, turn + 1, data.draw(st.integers(1, 10**16))):
        moved = {feed: max(price, 1)}
        sighting = lookout.under_after(moved)
        assert sighting.rung is Rung.TRIGGERS
        assert under(ADAPTER.repriced(view, moved), crowd) <= set(sighting.refs)


@settings(max_examples=100, deadline=None)
@given(scenes(), st.data())
def test_each_rung_that_can_tell_misses_nobody(scene, data):
    view, crowd = scene
    lookout = lookout_over(view, crowd)
    lookout.adopt(lookout.build().run())
    feeds = sorted(view.prices)
    if not feeds:
        return
    feed = data.draw(st.sampled_from(feeds))
    by_bps = data.draw(st.one_of(st.integers(-320, 320), st.integers(-9_999, 10**7)))
    moved = {feed: view.prices[feed] * (10_000 + by_bps) // 10_000}
    truth = under(ADAPTER.repriced(view, moved), crowd)
    sightings = [lookout.ask(rung, moved) for rung in Rung]
    assert sightings[-1] is not None
    for sighting in sightings:
        assert sighting is None or truth <= set(sighting.refs)


@settings(max_examples=100, deadline=None)
@given(scenes(), st.data())
def test_accounts_that_change_after_the_index_are_not_missed(scene, data):
    view, crowd = scene
    lookout = lookout_over(view, crowd)
    build = lookout.build()
    changes = {
        ref_of(number): data.draw(st.one_of(st.none(), positions(view)))
        for number in data.draw(st.lists(st.integers(1, 7), max_size=4))
    }
    lookout.change(view, changes)
    lookout.adopt(build.run())
    later = {
        ref_of(number): data.draw(st.one_of(st.none(), positions(view)))
        for number in data.draw(st.lists(st.integers(1, 7), max_size=4))
    }
    lookout.change(view, later)
    crowd = {ref: one for ref, one in {**crowd, **changes, **later}.items() if one is not None}
    assert len(lookout.columns) == len(crowd)
    if not view.prices:
        return
    feed = data.draw(st.sampled_from(sorted(view.prices)))
    price = data.draw(st.integers(1, 10**16))
    moved = ADAPTER.repriced(view, {feed: price})
    assert under(moved, crowd) <= set(lookout.under_after({feed: price}).refs)


@settings(max_examples=100, deadline=None)
@given(scenes(), st.integers(0, 10_000_000), st.data())
def test_time_does_not_make_the_index_miss_anybody(scene, seconds, data):
    view, crowd = scene
    lookout = lookout_over(view, crowd)
    lookout.adopt(lookout.build().run())
    view = view_at(view, view.timestamp + seconds, view.prices)
    lookout.see(view, view.prices)
    feeds = sorted(view.prices)
    if not feeds:
        return
    feed, price = data.draw(st.sampled_from(feeds)), data.draw(st.integers(1, 10**16))
    moved = ADAPTER.repriced(view, {feed: price})
    assert under(moved, crowd) <= set(lookout.under_after({feed: price}).refs)


@settings(max_examples=100, deadline=None)
@given(scenes(), st.data())
def test_a_repriced_view_is_the_view_at_those_prices(scene, data):
    view, _ = scene
    feeds = sorted(view.prices)
    if not feeds:
        return
    moved = {data.draw(st.sampled_from(feeds)): data.draw(st.integers(0, 10**12))}
    assert ADAPTER.repriced(view, moved) == view_at(view, view.timestamp, {**view.prices, **moved})


@settings(deadline=None)
@given(st.data())
def test_a_packed_position_unpacks_to_itself(data):
    view = data.draw(markets())
    position = data.draw(positions(view))
    assert ADAPTER.unpack(ADAPTER.pack(position)) == position
