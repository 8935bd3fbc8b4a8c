"""Plans of one block count on what those before them leave of their lending market."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.core.errors import RefusedError
from keeper.core.lending import Option, Reason, Rejection, SeizeQuote
from keeper.core.plan import Plan
from keeper.core.values import replace
from keeper.planner.additions import after, only_along
from keeper.planner.case import Case, Market
from keeper.planner.markets import Markets
from keeper.planner.offers import Chosen
from keeper.planner.planner import Planner
from tests.support.lending_desk import (
    USDC,
    WETH,
    Bonus,
    case_with,
    desk_of,
    markets,
    named,
    option_of,
    terms_of,
)

DESK = desk_of(*markets(50_000_000, [(WETH, USDC)]))
PLANNER = Planner(terms=terms_of(), venues=(), lenders=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Worn(Bonus):
    """A protocol that hands over one raw unit less for each liquidation before, up to a point."""

    before: int
    most: int = 99

    def seize(self, option: Option, repay: int) -> SeizeQuote:
        if self.before > self.most:
            raise RefusedError("worn out")
        quote = Bonus.seize(self, option, repay)
        return replace(quote, seized=quote.seized - self.before)


def worn(case: Case, before: int = 0, most: int = 99) -> Case:
    """Return the case in a market in which so many were liquidated before."""
    return replace(
        case,
        seize=Worn(before=before, most=most).seize,
        market=Market(
            after=lambda _option, _quote: before + 1,
            case=lambda found: worn(case, int(str(found)), most),
        ),
    )


def account(number: int, *, dollars: int, deployment: str = "worn.local", most: int = 99) -> Case:
    case = case_with(option_of(WETH, USDC, dollars=dollars), account=named(f"b{number}"))
    return worn(replace(case, deployment=deployment), most=most)


def taken_off(one: Chosen) -> int:
    """Return how many liquidations the trade counts on."""
    (step,) = one.trade.steps
    return Bonus().seize(one.trade.option, step.repay).seized - step.seized


def counted(chosen: Sequence[Chosen]) -> list[tuple[str, int]]:
    return [(one.case.opportunity.ref.account[-2:], taken_off(one)) for one in chosen]


MANY = [account(number, dollars=10_000 * number) for number in (1, 2, 3, 4)]


def test_each_is_planned_on_what_those_before_it_leave_of_the_market() -> None:
    chosen, refused = PLANNER.choose_all(MANY, DESK)
    assert counted(chosen) == [("b4", 0), ("b3", 1), ("b2", 2), ("b1", 3)]
    assert refused == []


def test_another_deployment_is_another_market() -> None:
    others = [account(5, dollars=35_000, deployment="other.local")]
    chosen, _ = PLANNER.choose_all([*MANY, *others], DESK)
    assert counted(chosen) == [("b4", 0), ("b5", 0), ("b3", 1), ("b2", 2), ("b1", 3)]


def test_one_that_the_others_leave_nothing_of_is_refused() -> None:
    chosen, (no,) = PLANNER.choose_all([*MANY[1:], account(1, dollars=10_000, most=2)], DESK)
    assert counted(chosen) == [("b4", 0), ("b3", 1), ("b2", 2)]
    assert (no.ref.account[-2:], no.reason) == ("b1", Reason.NO_OPTION)


def test_without_one_of_them_those_behind_it_are_planned_anew() -> None:
    chosen, _ = PLANNER.choose_all(MANY, DESK)
    again, refused = PLANNER.choose_again([chosen[0], *chosen[2:]], DESK)
    assert counted(again) == [("b4", 0), ("b2", 1), ("b1", 2)]
    assert refused == []
    assert again[0] is chosen[0]


def test_without_the_last_of_them_nothing_is_planned_anew() -> None:
    chosen, _ = PLANNER.choose_all(MANY, DESK)
    again, refused = PLANNER.choose_again(chosen[:-1], DESK)
    assert all(one is other for one, other in zip(again, chosen[:-1], strict=True))
    assert refused == []


def test_what_is_planned_anew_is_what_would_have_been_planned_without_the_other() -> None:
    chosen, _ = PLANNER.choose_all(MANY, DESK)
    again, _ = PLANNER.choose_again(chosen[1:], DESK)
    alone, _ = PLANNER.choose_all(MANY[:-1], DESK)
    assert [PLANNER.build(one) for one in again] == [PLANNER.build(one) for one in alone]


SHALLOW = desk_of(*markets(5_000_000, [(WETH, USDC)]))


def test_without_one_of_them_nobody_finds_the_pools_as_that_one_would_have_left_them() -> None:
    """The second one liquidates what it did, and the third one is planned behind that alone."""
    first, third = account(1, dollars=60_000), account(3, dollars=20_000)
    second = account(2, dollars=30_000, deployment="other.local")
    chosen, _ = PLANNER.choose_all([first, second, third], SHALLOW)
    assert counted(chosen) == [("b1", 0), ("b2", 0), ("b3", 1)]
    again, refused = PLANNER.choose_again(chosen[1:], SHALLOW)
    alone, _ = PLANNER.choose_all([second, third], SHALLOW)
    assert (counted(again), refused) == ([("b2", 0), ("b3", 0)], [])
    assert again[0].trade.steps == chosen[1].trade.steps
    assert [PLANNER.build(one) for one in again] == [PLANNER.build(one) for one in alone]


def test_what_the_chain_must_see_follows_the_pools_that_remain() -> None:
    one, two = (
        account(number, dollars=60_000 // number, deployment=f"{number}.local") for number in (1, 2)
    )
    chosen, _ = PLANNER.choose_all([one, two], SHALLOW)
    (again,), _ = PLANNER.choose_again(chosen[1:], SHALLOW)
    before, now = PLANNER.build(chosen[1]), PLANNER.build(again)
    assert now.quote == before.quote
    proceeds = now.forecast.net + now.forecast.gas
    assert now.min_profit == -(-proceeds * 9_500 // 10_000) > before.min_profit


def test_one_that_depended_on_another_is_refused_when_that_is_gone() -> None:
    """It comes third only as long as there is a second."""
    waiting = account(1, dollars=10_000)
    market = Market(
        after=lambda _option, _quote: 9,
        case=lambda found: waiting if found == 2 else worn(waiting, 100),
    )
    chosen, _ = PLANNER.choose_all([*MANY[2:], replace(waiting, market=market)], DESK)
    again, (no,) = PLANNER.choose_again([chosen[0], chosen[2]], DESK)
    assert counted(again) == [("b4", 0)]
    assert isinstance(no, Rejection)
    assert no.reason is Reason.NO_OPTION


def test_what_goes_along_is_planned_in_the_market_that_the_others_leave_at_the_gas_it_adds() -> (
    None
):
    chosen, _ = PLANNER.choose_all(MANY[1:], DESK)
    desk, left = after(chosen, DESK, Markets())
    (last,), _ = PLANNER.choose_all(MANY[:1], desk, left)
    cases = list(only_along(MANY, {MANY[0].opportunity.ref}))
    (added,), _ = PLANNER.along().choose_all(cases, desk, left)
    assert counted([added]) == counted([last]) == [("b1", 3)]
    once, twice = (Bonus().gas(added.trade.option, added.trade.steps * n) for n in (1, 2))
    assert last.trade.gas_units - added.trade.gas_units == once - (twice - once)


def test_plans_of_a_batch_are_those_of_what_was_chosen() -> None:
    chosen, _ = PLANNER.choose_all(MANY, DESK)
    plans = PLANNER.plan_all(MANY, DESK)
    assert [one.quote for one in plans if isinstance(one, Plan)] == [
        one.trade.seize for one in chosen
    ]


def test_many_alike_are_each_looked_at_a_few_times() -> None:
    """Every plan moves the pool and the market of all: nobody is left as it was."""
    looks: Counter[str] = Counter()

    def counting(case: Case) -> Case:
        market = case.market
        assert market is not None

        def placed(found: object) -> Case:
            looks[case.opportunity.ref.account] += 1
            return market.case(found)

        return replace(case, market=replace(market, case=placed))

    pools = desk_of(*markets(500_000_000, [(WETH, USDC)]))
    cases = [counting(account(number, dollars=20_000)) for number in range(10, 90)]
    chosen, refused = PLANNER.choose_all(cases, pools)
    assert (len(chosen), refused) == (80, [])
    assert [taken_off(one) for one in chosen] == list(range(80))
    assert sum(looks.values()) < 5 * len(cases)
