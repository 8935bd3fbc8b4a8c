"""The screen never misses an account of the Compound family that the exact rules find."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.lending import AccountRef
from keeper.core.screening import Screened
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.protocols.compound_v2.adapter import CompoundAdapter
from keeper.protocols.compound_v2.exposure import pack, unpack
from keeper.protocols.compound_v2.health import (
    accrued_vai_debt,
    is_forced,
    shortfall,
    terms_of,
    vai_debt,
    vai_is_forced,
    vai_shortfall,
    view_at,
)
from keeper.protocols.compound_v2.membership import entered
from keeper.protocols.compound_v2.parameters import Parameters
from keeper.protocols.compound_v2.rules import mul_exp_half_up, mul_exp_truncated
from keeper.protocols.compound_v2.state import Deployment, Entry, Pool, Position, Risk
from keeper.scanner.lookout import Lookout
from tests.support.compound_market import (
    BLOCK,
    COMPTROLLER,
    MARKETS,
    NOW,
    PRICES,
    THROUGH,
    TOKENS,
    WETH,
    account,
    deployment,
    vai,
)

ADAPTER = CompoundAdapter(
    deployment="compound_v2.test",
    start_block=0,
    parameters=Parameters(comptroller=COMPTROLLER, wrapped_native=WETH),
)


@st.composite
def views(draw: st.DrawFn) -> Deployment:
    kinder = Risk(threshold=draw(st.integers(WAD // 2, WAD)), incentive=WAD)
    markets = tuple(
        replace(
            one,
            rate=draw(st.integers(0, 10**12)),
            forced=draw(st.integers(0, 20)) == 0,
            risks={
                0: replace(
                    one.risks[0], threshold=draw(st.sampled_from((0, WAD // 2, WAD * 9 // 10)))
                ),
                1: kinder,
            },
        )
        for one in MARKETS
    )
    bare = deployment(
        markets,
        mul=draw(st.sampled_from((mul_exp_truncated, mul_exp_half_up))),
        pools={1: Pool(active=True, falls_back=False)},
        liquidator=draw(st.sampled_from((None, THROUGH))),
        seizes_unentered=draw(st.booleans()),
        vai=vai(rate=draw(st.integers(0, 10**12)), forced=draw(st.integers(0, 20)) == 0),
    )
    prices = {key: draw(st.integers(price // 9, 2 * price)) for key, price in PRICES.items()}
    return view_at(bare, BLOCK + draw(st.integers(0, 10**4)), NOW, prices)


@st.composite
def positions(draw: st.DrawFn, view: Deployment) -> Position:
    """Return an account of every kind, most of them next to their line."""
    held = sorted(draw(st.sets(st.integers(0, 2), max_size=3)))
    owed = draw(st.permutations(range(3)))[: draw(st.integers(0, 2))]
    minted = draw(st.sampled_from((0, 10**20)))
    position = account(
        {one: draw(st.integers(10**9, 10**14)) for one in held},
        dict.fromkeys(sorted(owed), 1),
        pool=draw(st.integers(0, 1)),
        forced=frozenset(owed if draw(st.integers(0, 20)) == 0 else ()),
        vai_forced=draw(st.integers(0, 20)) == 0,
        vai_minted=minted,
        vai_past_interest=minted // draw(st.integers(1, 9)),
        vai_index=WAD if minted else 0,
        unentered=tuple(
            (one, draw(st.integers(1, 10**14)))
            for one in range(3)
            if one not in {*held, *owed} and draw(st.booleans())
        ),
    )
    for market in owed:
        share_bps = draw(st.sampled_from((3_000, 9_990, 10_000, 10_001, 12_000)))
        position = nearer(view, position, market, share_bps, draw(st.integers(-3, 3)))
    return position


def nearer(
    view: Deployment, position: Position, market: int, share_bps: int, units: int
) -> Position:
    """Return the account owing so much more in a market of what takes it to its line."""
    short = sum(one.accrued for one in terms_of(view, position)) + vai_debt(view, position)
    line = view.lines[market]
    price = line.price or 1

    def moved(entry: Entry) -> Entry:
        if entry.market != market:
            return entry
        room = -short * share_bps // 10_000
        change = room * WAD // price * entry.principal_index // line.borrow_index
        return entry._replace(principal=max(entry.principal + change + units, 1))

    return replace(position, entries=tuple(moved(one) for one in position.entries))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Deployment, list[Position]]:
    view = draw(views())
    return view, [draw(positions(view)) for _ in range(draw(st.integers(1, 6)))]


def crowd_of(held: list[Position]) -> dict[AccountRef, Position]:
    return {
        AccountRef(market=COMPTROLLER, account=Address(f"0x{number:040x}")): one
        for number, one in enumerate(held)
    }


@settings(max_examples=200, deadline=None)
@given(scenes(), st.integers(5_000, 15_000))
def test_no_account_under_the_line_is_missed_by_the_screen(scene, moved_bps: int):
    view, held = scene
    crowd = crowd_of(held)
    lookout: Lookout[Deployment, Position] = Lookout(ADAPTER)
    lookout.change(view, crowd)
    lookout.see(view, view.prices)
    found = set(lookout.under().refs)
    assert {ref for ref, one in crowd.items() if ADAPTER.assess(view, one).liquidatable} <= found
    prices = {key: max(price * moved_bps // 10_000, 1) for key, price in view.prices.items()}
    later = ADAPTER.repriced(view, prices)
    lookout.see(later, later.prices)
    found = set(lookout.under().refs)
    assert {ref for ref, one in crowd.items() if ADAPTER.assess(later, one).liquidatable} <= found


@settings(max_examples=300, deadline=None)
@given(scenes())
def test_an_account_whose_terms_sum_to_the_slack_is_not_liquidatable(scene):
    view, held = scene
    for position in held:
        told = ADAPTER.exposure(view, position)
        if told is None:
            assert position.forced or position.vai_forced
            continue
        terms = []
        for key, weight in told.terms:
            feed, rate = ADAPTER.factor(view, key)
            terms.append(weight * rate * (1 if feed is None else view.prices[feed]))
        total, rounding = sum(terms), sum(map(abs, terms)) * 2**-48
        if total >= told.slack + rounding:
            assert not ADAPTER.assess(view, position).liquidatable


@settings(deadline=None)
@given(scenes())
def test_repricing_is_viewing_at_other_prices(scene):
    view, _ = scene
    prices = {key: price + 1 for key, price in view.prices.items()}
    assert ADAPTER.repriced(view, prices) == view_at(view, view.block, view.timestamp, prices)


@settings(deadline=None)
@given(scenes())
def test_a_packed_position_comes_back(scene):
    for position in scene[1]:
        assert unpack(pack(position)) == position


def test_the_adapter_is_screened_and_a_safe_crowd_is_left_out():
    assert isinstance(ADAPTER, Screened)
    view = view_at(deployment(), BLOCK, NOW, PRICES)
    safe = crowd_of([account({0: 10**12}, {1: 10**6}) for _ in range(50)])
    lookout: Lookout[Deployment, Position] = Lookout(ADAPTER)
    lookout.change(view, safe)
    lookout.see(view, view.prices)
    assert lookout.under().refs == ()
    assert TOKENS[0] in ADAPTER.feeds_of(view, next(iter(safe.values())))


@settings(deadline=None)
@given(scenes(), st.integers(0, 2), st.integers(5_000, 15_000))
def test_what_was_reckoned_before_a_price_moved_is_not_used_after(scene, moved: int, bps: int):
    view, held = scene
    key = TOKENS[moved]
    prices = {**view.prices, key: max(view.prices[key] * bps // 10_000, 1)}
    for position in held:
        ADAPTER.assess(view, position)
    later = ADAPTER.repriced(view, {key: prices[key]})
    fresh = view_at(view, view.block, view.timestamp, prices)
    assert [ADAPTER.assess(later, one) for one in held] == [
        ADAPTER.assess(fresh, one) for one in held
    ]


@settings(max_examples=150, deadline=None)
@given(scenes())
def test_an_account_is_liquidatable_when_the_contracts_find_a_pair_short_or_a_debt_forced(scene):
    view, held = scene
    for position in held:
        entries = entered(view, position)
        owed = [one.market for one in entries if one.principal]
        tokens = [one.market for one in entries if one.tokens]
        if view.seizes_unentered:
            tokens += [one for one, _ in position.unentered]
        pairs = [{*debt, *coins} for debt in each(owed) for coins in each(tokens)]
        forced = any(is_forced(view, position, one) for one in entries)
        vai_short = accrued_vai_debt(view, position) > 0 and any(
            vai_shortfall(view, position, one).value > 0 for one in tokens
        )
        short = any(shortfall(view, position, pair).value > 0 for pair in pairs) or vai_short
        expected = forced or vai_is_forced(view, position) or short
        found = ADAPTER.assess(view, position)
        assert found.liquidatable == (expected and found.debt_base > 0)


def each(markets):
    return [(one,) for one in markets] or [()]
