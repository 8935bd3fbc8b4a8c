"""Isolated pools under every input: the screen misses nobody, and what is offered is allowed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.screening import Screened
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.protocols.venus_isolated import rules
from keeper.protocols.venus_isolated.adapter import IsolatedAdapter
from keeper.protocols.venus_isolated.case import KEY_SEPARATOR, Way
from keeper.protocols.venus_isolated.health import (
    arrangements,
    snapshot,
    terms_of,
    view_at,
)
from keeper.protocols.venus_isolated.parameters import Parameters
from keeper.protocols.venus_isolated.state import Deployment, Position
from keeper.scanner.lookout import Lookout
from tests.support.isolated_pools import (
    BLOCK,
    LEAST,
    MAIN,
    MARKETS,
    NOW,
    PRICES,
    REGISTRY,
    account,
    deployment,
    owed,
    ref,
    tokens,
)

ADAPTER = IsolatedAdapter(
    deployment="venus_isolated.test",
    start_block=0,
    parameters=Parameters(pool_registry=REGISTRY),
)


@st.composite
def views(draw: st.DrawFn) -> Deployment:
    markets = tuple(
        replace(
            one,
            rate=draw(st.integers(0, 10**11)),
            threshold=draw(st.sampled_from((0, WAD // 2, WAD * 9 // 10, WAD))),
            forced=draw(st.integers(0, 20)) == 0,
            bad_debt=draw(st.integers(0, one.stored.borrows)),
        )
        for one in MARKETS
    )
    prices = {key: draw(st.integers(price // 3, 2 * price)) for key, price in PRICES.items()}
    return view_at(deployment(markets), BLOCK + draw(st.integers(0, 10**3)), NOW, prices)


@st.composite
def positions(draw: st.DrawFn) -> Position:
    """Return an account of every kind, most of them next to their line."""
    held = sorted(draw(st.sets(st.integers(0, 2), max_size=3)))
    debts = draw(st.permutations(range(3)))[: draw(st.integers(0, 2))]
    dollars = draw(st.sampled_from((20, 90, 150, 9_000)))
    return account(
        {one: tokens(one, dollars) for one in held},
        {one: owed(one, dollars * draw(st.integers(20, 130))) for one in sorted(debts)},
    )


@settings(max_examples=150, deadline=None)
@given(views(), st.lists(positions(), min_size=1, max_size=5), st.integers(5_000, 15_000))
def test_no_account_under_the_line_is_missed_by_the_screen(view, held, moved_bps: int):
    crowd = {replace(ref(), account=f"0x{number:040x}"): one for number, one in enumerate(held)}
    lookout: Lookout[Deployment, Position] = Lookout(ADAPTER)
    lookout.change(view, crowd)
    prices = {key: max(price * moved_bps // 10_000, 1) for key, price in view.prices.items()}
    for seen in (view, ADAPTER.repriced(view, prices)):
        lookout.see(seen, seen.prices)
        under = {who for who, one in crowd.items() if ADAPTER.assess(seen, one).liquidatable}
        assert under <= set(lookout.under().refs)


@settings(max_examples=200, deadline=None)
@given(views(), positions())
def test_every_option_may_be_taken_and_only_in_its_own_place(view, position):
    for option in ADAPTER.options(view, position):
        quote = ADAPTER.seize(view, position, option, option.max_repay)
        assert 0 <= quote.protocol_fee <= quote.seized
        way = Way(option.key.split(KEY_SEPARATOR)[0])
        found = snapshot(terms_of(view, position), {one.market for one in position.entries})
        if way is Way.HEAL:
            assert found.total <= LEAST
            share = rules.healed_share(found.total, found.borrows, view.pools[MAIN].incentive)
            assert share <= WAD
        if way is Way.ACCOUNT:
            assert len([one for one in position.entries if one.principal]) == 1


@settings(max_examples=200, deadline=None)
@given(views(), positions())
def test_what_helps_makes_an_account_as_short_as_it_gets(view, position):
    terms = terms_of(view, position)
    first, *others = (snapshot(terms, one).shortfall for one in arrangements(terms, ()))
    most = sum(max(one.stored.shortfall, one.accrued.shortfall) for one in terms)
    assert max([first, *others]) == most


@settings(deadline=None)
@given(views(), positions())
def test_a_packed_position_comes_back(view, position):
    assert ADAPTER.unpack(ADAPTER.pack(position)) == position


@given(st.integers(1, 10**30), st.integers(1, 10**30), st.integers(WAD, 2 * WAD))
def test_healing_never_repays_more_than_the_collateral_is_worth(total, borrows, incentive):
    if borrows * incentive < WAD:
        return
    share = rules.healed_share(total, borrows, incentive)
    if share <= WAD:
        assert rules.healed_part(share, borrows) <= total * WAD // incentive + total // 10**9 + 1


def test_the_adapter_is_screened():
    assert isinstance(ADAPTER, Screened)
