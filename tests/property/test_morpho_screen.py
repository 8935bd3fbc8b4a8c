"""The screen never misses an account of Morpho that the exact rules find."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.lending import AccountRef
from keeper.core.screening import Screened
from keeper.core.units import MAX_UINT256, Address
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.exposure import pack, unpack
from keeper.protocols.morpho_blue.health import view_at
from keeper.protocols.morpho_blue.parameters import Parameters
from keeper.protocols.morpho_blue.rules import Totals
from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition
from keeper.scanner.lookout import Lookout
from tests.support.morpho_market import (
    EARLY,
    EARLY_PRICES,
    MARKETS,
    MORPHO,
    NOW,
    deployment,
    isolated,
)

ADAPTER = MorphoAdapter(
    deployment="morpho_blue.test", start_block=0, parameters=Parameters(morpho=MORPHO)
)
KEYS = (*(one.id for one in MARKETS), EARLY.address)


@st.composite
def positions(draw: st.DrawFn, view: MorphoMarket) -> MorphoPosition:
    """Return an account within a few raw units of its line, or anywhere."""
    key = draw(st.sampled_from(KEYS))
    market = view.market_of(key)
    assert market is not None
    collateral = draw(st.integers(0, 10**24))
    line = view.lines[market.id]
    early = view.pre_liquidations.get(key)
    threshold = line.lltv if early is None else early.terms.pre_lltv
    price = view.prices[market.params.oracle if early is None else early.oracle]
    limit = collateral * price // 10**36 * threshold // 10**18
    near = draw(st.integers(-3, 3)) if draw(st.booleans()) else draw(st.integers(-limit, limit))
    issued, owed = line.totals.borrow_shares + 10**6, line.totals.borrow_assets + 1
    shares = max((limit + near) * issued // owed + draw(st.integers(-2, 2)), 0)
    return MorphoPosition(market=key, shares=min(shares, 2**128 - 1), collateral=collateral)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[MorphoMarket, list[MorphoPosition]]:
    borrowed = draw(st.integers(1, 10**26))
    totals = Totals(borrowed * 2, borrowed * 2 * 10**6, borrowed, borrowed * 10**6 * 9 // 10)
    markets = (isolated(totals=totals, updated=NOW), *MARKETS[1:])
    bare = deployment(markets=markets)
    prices = {
        key: price * draw(st.integers(5_000, 15_000)) // 10_000
        for key, price in EARLY_PRICES.items()
    }
    view = view_at(bare, NOW + draw(st.integers(0, 10**6)), prices)
    many = draw(st.integers(1, 6))
    return view, [draw(positions(view)) for _ in range(many)]


@settings(max_examples=200, deadline=None)
@given(scenes(), st.integers(5_000, 15_000))
def test_no_account_under_the_line_is_missed_by_the_screen(scene, moved_bps: int):
    view, held = scene
    crowd = {
        AccountRef(market=one.market, account=Address(f"0x{number:040x}")): one
        for number, one in enumerate(held)
    }
    lookout: Lookout[MorphoMarket, MorphoPosition] = Lookout(ADAPTER)
    lookout.change(view, crowd)
    lookout.see(view, view.prices)
    found = set(lookout.under().refs)
    assert {ref for ref, one in crowd.items() if ADAPTER.assess(view, one).liquidatable} <= found
    prices = {key: price * moved_bps // 10_000 for key, price in view.prices.items()}
    later = ADAPTER.repriced(view, prices)
    lookout.see(later, later.prices)
    found = set(lookout.under().refs)
    assert {ref for ref, one in crowd.items() if ADAPTER.assess(later, one).liquidatable} <= found


@given(scenes())
def test_repricing_is_viewing_at_other_prices(scene):
    view, _ = scene
    prices = {key: price + 1 for key, price in view.prices.items()}
    assert ADAPTER.repriced(view, prices) == view_at(view, view.timestamp, prices)


@given(st.sampled_from(KEYS), st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_a_packed_position_comes_back(key: str, shares: int, collateral: int):
    position = MorphoPosition(market=key, shares=shares, collateral=collateral)
    assert unpack(pack(position)) == position
    assert len(pack(position)) <= 64


def test_the_adapter_is_screened_and_most_of_a_crowd_is_left_out():
    assert isinstance(ADAPTER, Screened)
    view = deployment()
    market = MARKETS[0]
    safe = {
        AccountRef(market=market.id, account=Address(f"0x{n:040x}")): MorphoPosition(
            market=market.id, shares=10**15, collateral=10**18
        )
        for n in range(50)
    }
    lookout: Lookout[MorphoMarket, MorphoPosition] = Lookout(ADAPTER)
    lookout.change(view, safe)
    lookout.see(view, view.prices)
    assert lookout.under().refs == ()
    assert ADAPTER.assess(view, next(iter(safe.values()))).health_factor < MAX_UINT256
