"""No route that is left out before amounts are searched would have brought more."""

from collections.abc import Iterator
from itertools import combinations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from keeper.core.lending import Option
from keeper.planner.broker import Broker
from keeper.planner.case import Case, Desk
from keeper.planner.routing import routes
from keeper.planner.search import best_trades, closest
from keeper.planner.sizing import FINE
from keeper.planner.trade import Miss, Trade
from keeper.planner.trials import Offer, Trials
from keeper.protocols.aave_v3.revision import V3_0, V3_6, Rules
from keeper.protocols.aave_v3.state import AavePosition
from tests.support.lending_case import RESERVES, aave, aave_case
from tests.support.lending_desk import ASSETS, DAI, USDC, WBTC, WETH, desk_of, pool_at_par, terms_of

TERMS = terms_of()
FEES = (100, 500, 3_000)
TOKENS = (WETH, USDC, WBTC, DAI)
_ROUGHLY = 10**3
"""Routes are compared at an amount that is found roughly: it is allowed such a part of a net."""


def raw(number: int, dollars: int) -> int:
    asset = ASSETS[RESERVES[number].asset]
    return dollars * 10**8 * asset.unit // asset.price


def account(rules: Rules, held: tuple[int, int], debts: tuple[int, int], health_bps: int) -> Case:
    """Return an account of dollars of ether and bitcoin, which owes shares in dollars and ether."""
    supported = held[0] * RESERVES[0].threshold_bps + held[1] * RESERVES[2].threshold_bps
    owed = supported // health_bps
    position = AavePosition(
        collateral=tuple((n, raw(n, value)) for n, value in zip((0, 2), held, strict=True)),
        debt=tuple(
            (n, raw(n, owed * share // 100)) for n, share in zip((1, 0), debts, strict=True)
        ),
    )
    return aave_case(aave(rules), position)


def desk(depths: dict[tuple[int, int], list[int]], middles: tuple[int, ...]) -> Desk:
    """Return a desk with pools of so many dollars a side between pairs of tokens, fee by fee."""
    pools = [
        pool_at_par(TOKENS[one], TOKENS[other], dollars=dollars, fee=fee)
        for (one, other), some in depths.items()
        for fee, dollars in zip(FEES, some, strict=False)
    ]
    return desk_of(*pools, intermediates=tuple(TOKENS[n] for n in middles))


dollars = st.integers(12, 20).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))
pairs = list(combinations(range(len(TOKENS)), 2))
accounts = st.tuples(
    st.sampled_from((V3_0, V3_6)),
    st.tuples(dollars, dollars),
    st.sampled_from(((100, 0), (60, 40))),
    st.sampled_from((9_990, 9_700, 9_000)),
)
desks = st.tuples(
    st.fixed_dictionaries({pair: st.lists(dollars, min_size=1, max_size=3) for pair in pairs}),
    st.sampled_from(((), (0,), (1,), (0, 1))),
)


def all_routes(case: Case, at: Desk, option: Option) -> Iterator[Trials]:
    """Yield what may be tried along every route that there is for an option."""
    broker, largest = Broker(at), min(option.max_repay, at.most(option.debt))
    offer = Offer(case=case, desk=at, broker=broker, terms=TERMS, option=option, largest=largest)
    most = offer.most_taken()
    worth = case.valuation.wei_floor(option.debt, most)
    received = case.valuation.amount_ceil(option.collateral, worth)
    found = routes(at, option, WETH, owed=most, received=received, broker=broker)
    for route in found:
        yield Trials(offer=offer, route=route, pieces=offer.pieces())


@given(owed_by=accounts, swapped_at=desks)
@example(
    owed_by=(V3_6, (25_899, 160_699), (100, 0), 9_990),
    swapped_at=(
        {
            (0, 1): [14_555, 15_150, 9_559],
            (0, 2): [86_393],
            (0, 3): [19_070, 5_734],
            (1, 2): [7_188],
            (1, 3): [73_584],
            (2, 3): [14_555, 15_150, 9_559],
        },
        (0,),
    ),
)
@settings(max_examples=50, deadline=None)
def test_the_best_route_is_among_those_that_are_searched(
    owed_by: tuple[Rules, tuple[int, int], tuple[int, int], int],
    swapped_at: tuple[dict[tuple[int, int], list[int]], tuple[int, ...]],
) -> None:
    case, at = account(*owed_by), desk(*swapped_at)
    found = closest(best_trades(case, at, TERMS)) if case.opportunity.options else None
    results = [
        one.best(FINE)
        for option in case.opportunity.options
        for one in all_routes(case, at, option)
    ]
    best = max((one.net for one in results if isinstance(one, Trade)), default=None)
    if best is None:
        assert found is None or isinstance(found, Miss)
    else:
        assert isinstance(found, Trade)
        assert found.net >= best - abs(best) // _ROUGHLY
