"""To the last unit: what is just enough, what is one short of it, and how limits are rounded."""

from keeper.core.units import Address
from keeper.planner.broker import Broker
from keeper.planner.costs import Limits
from keeper.planner.routing import Route
from keeper.planner.swapping import Short, Swapped, Task, swap
from tests.support.lending_desk import (
    TRIANGLE,
    USDC,
    WBTC,
    WETH,
    desk_of,
)

DESK = desk_of(*TRIANGLE)
HELD = 10**7
OUTLET, DIRECT, BACK = (DESK.paths(*pair)[0] for pair in ((WBTC, WETH), (WBTC, USDC), (WETH, USDC)))


def swapped(route: Route, *, debt: Address, owed: int) -> Swapped | Short:
    return swap(Broker(DESK), route, Task(token=WBTC, held=HELD, debt=debt, owed=owed))


def test_a_sale_that_brings_just_what_is_owed_is_no_shortfall() -> None:
    route = Route(repay=(), sale=(OUTLET,), sale_repays=True)
    sale = DESK.exact_in(OUTLET, HELD)
    assert sale is not None
    assert swapped(route, debt=WETH, owed=sale.amount_out) == Swapped(sale=(sale,), proceeds=0)
    assert swapped(route, debt=WETH, owed=sale.amount_out + 1) == Short(asset=WETH, amount=1)


def test_a_sale_that_just_buys_back_what_is_owed_is_no_shortfall() -> None:
    """The last unit that is bought back is dear: what one more costs is what is short."""
    route = Route(repay=(), sale=(OUTLET,), buyback=(BACK,))
    sale = DESK.exact_in(OUTLET, HELD)
    assert sale is not None
    most = DESK.exact_in(BACK, sale.amount_out)
    assert most is not None
    back, more = (DESK.exact_out(BACK, most.amount_out + n) for n in (0, 1))
    assert back is not None
    assert more is not None
    whole = swapped(route, debt=USDC, owed=most.amount_out)
    left = sale.amount_out - back.amount_in
    assert whole == Swapped(sale=(sale,), buyback=(back,), proceeds=left)
    short = more.amount_in - sale.amount_out
    assert short > 0
    assert swapped(route, debt=USDC, owed=most.amount_out + 1) == Short(asset=WETH, amount=short)


def test_collateral_that_is_just_enough_is_no_shortfall() -> None:
    """Nothing is left to sell then, and no more than that comes of it."""
    route, most = Route(repay=(DIRECT,), sale=(OUTLET,)), DESK.exact_in(DIRECT, HELD)
    assert most is not None
    buy, more = (DESK.exact_out(DIRECT, most.amount_out + n) for n in (0, 1))
    assert buy is not None
    assert more is not None
    assert buy.amount_in == HELD
    whole = swapped(route, debt=USDC, owed=most.amount_out)
    assert whole == Swapped(repay=(buy,), proceeds=0)
    short = Short(asset=WBTC, amount=more.amount_in - HELD)
    assert swapped(route, debt=USDC, owed=most.amount_out + 1) == short


def test_what_goes_beyond_the_pools_is_named_and_has_no_figure() -> None:
    beyond = 10**30
    unbought = Short(asset=USDC, amount=0, tried=beyond, buys=True)
    for route in (
        Route(repay=(DIRECT,), sale=(OUTLET,)),
        Route(repay=(), sale=(OUTLET,), buyback=(BACK,)),
    ):
        assert swapped(route, debt=USDC, owed=beyond) == unbought
        unsold = swap(Broker(DESK), route, Task(token=WBTC, held=beyond, debt=USDC, owed=1))
        assert isinstance(unsold, Short)
        assert (unsold.asset, unsold.amount, unsold.buys) == (WBTC, 0, False)
    native = Route(repay=(), sale=(OUTLET,), sale_repays=True)
    task = Task(token=WBTC, held=beyond, debt=WETH, owed=1)
    assert swap(Broker(DESK), native, task) == Short(asset=WBTC, amount=0, tried=beyond)


def limits(**given: int) -> Limits:
    return Limits(**{"min_profit": 0, "max_gas_price": 10**12, **given})


def test_what_a_plan_must_bring_is_rounded_up() -> None:
    assert limits(min_profit_bps=1).required_net(10_001) == 2
    assert limits(min_profit_bps=1, min_profit=3).required_net(10_001) == 3
    assert limits(inclusion_bps=1).haircut(10_001) == 2
    assert limits(haircut_bps=1).min_received(10_001, 0, 0) == 10_000
    assert limits(haircut_bps=10_000).min_received(10_001, 7, 5) == 12


def test_what_is_given_away_is_rounded_down() -> None:
    assert limits(tip_bps=1).tip(10_009, 10) == 0
    assert limits(tip_bps=1, tip_fixed=2).tip(10_012, 10) == 3
    assert limits(tip_bps=10_000, tip_fixed=2).tip(10, 10) == 0
    assert limits(tip_fixed=2).tip(11, 10) == 1
    assert limits(bid_bps=1).bid(39_999, 2, 0) == 1
    assert limits(bid_bps=10_000).bid(-1, 1, 0) == 0
    assert limits(bid_bps=10_000).bid(10**13, 1, 10**12 - 1) == 1
    assert limits(bid_bps=10_000).bid(10**13, 1, 10**12 + 1) == 0
