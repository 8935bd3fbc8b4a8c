"""Plan one account, and what planning earns against the usual way.

The account has two collaterals and two debts under Aave's rules, with three Uniswap V3 pools quoted
locally. "Usual" liquidates the largest debt for the largest collateral up to the close factor,
through the one direct pool of each leg, and leaves what would slip by more than three percent.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from benchmarks.machine import THERE, within_there
from benchmarks.rows import Row, at_least, interleaved, progress
from keeper.core.plan import Plan
from keeper.core.units import BPS
from keeper.core.values import replace
from keeper.evm.transaction import LocalSigner
from keeper.planner.case import Case, Desk
from keeper.planner.planner import Planner
from keeper.planner.routing import routes
from keeper.planner.trade import Miss, Trade, seizure, trade
from keeper.protocols.aave_v3.revision import V3_0, V3_6, Rules
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from tests.support.lending_case import RESERVES, VALUATION, aave, aave_case, in_steps
from tests.support.lending_desk import ASSETS, USDC, WBTC, WETH, desk_of, pool_at_par, terms_of

_GOAL_MS: Final = 5.0
_SLIPPAGE_BPS: Final = 300
_PAIRS: Final = [(WETH, USDC), (WBTC, WETH), (WBTC, USDC)]
_DEPTHS: Final = {"thin": 300_000, "normal": 5_000_000, "deep": 100_000_000}
"""Dollars a side of each pool, by the price's virtual reserves."""
_LEAST: Final = 5 * 10**15
"""Wei that a plan of a small account has to net: 0.005 ether, the shipped limit."""
_TERMS: Final = terms_of()
_Account = tuple[AaveMarket, AavePosition]
_PLANNER: Final = Planner(terms=_TERMS, venues=(), lenders=())


def run(*, quick: bool) -> Iterator[Row]:
    """Yield the times of planning, then the profits by depth."""
    rounds, accounts = (20, 50) if quick else (500, 1_000)
    progress("plans of one account ...")
    yield from _times(rounds)
    yield _again(accounts)
    for name, dollars in _DEPTHS.items():
        progress(f"{accounts:,} accounts in {name} pools ...")
        yield _profits(name, dollars, accounts)


def _times(rounds: int) -> Iterator[Row]:
    for tiers, rules in (((500,), V3_0), ((500,), V3_6), ((100, 500, 3_000), V3_6)):
        yield _time(rounds, _desk(20_000_000, tiers), rules, pools=len(tiers))


def _time(rounds: int, desk: Desk, rules: Rules, *, pools: int) -> Row:
    """Return what a plan of two collaterals and two debts takes, up to its signature."""
    signer = LocalSigner(b"\x01" * 32, chain_id=1)
    case = aave_case(*_account(rules, {0: 100_000, 2: 80_000}, {1: 60, 0: 40}, health=0.97))

    def ready() -> None:
        plan = _PLANNER.plan(case, desk)
        if not isinstance(plan, Plan):
            raise TypeError(f"expected a plan, found {plan}")
        mine = replace(plan.transaction, sender=signer.address)
        signer.sign(mine, nonce=7, gas_limit=plan.gas_limit, fees=plan.fees)

    interleaved({"warm": ready}, 5)
    ((p50, p99),) = interleaved({"plan": ready}, rounds).values()
    met, note = within_there(_GOAL_MS, p50 / 1e3, "ms")
    return Row(
        bench="plan",
        variant=f"opportunity to signed, Aave {rules.release}, pools a pair: {pools}",
        n=len(case.opportunity.options),
        p50_us=p50,
        p99_us=p99,
        value=f"{1e6 / p50:,.0f} plans a second",
        goal=f"p50 at most {_GOAL_MS:g} ms{THERE}",
        met=met,
        note=note,
    )


def _again(accounts: int) -> Row:
    """Return what looking again at small accounts takes, against planning each of them."""
    desk, chance = _desk(_DEPTHS["normal"]), Random("small")  # noqa: S311 - accounts, not secrets
    planner = Planner(
        terms=terms_of(replace(_TERMS.limits, min_profit=_LEAST)), venues=(), lenders=()
    )
    ceilings = planner.ceilings(desk)
    drawn = [_random_account(chance, least=20, times=25) for _ in range(accounts)]
    cases = [in_steps(aave_case(*one), *one) for one in drawn]
    refused = [not isinstance(planner.plan(one, desk), Plan) for one in cases]
    cut = [ceilings.refusal(one) is not None for one in cases]
    wrong = sum(one and not other for one, other in zip(cut, refused, strict=True))
    ways: dict[str, Callable[[], object]] = {
        "ceiling": lambda: [ceilings.refusal(one) for one in cases],
        "plan": lambda: [planner.plan(one, desk) for one in cases],
    }
    times = interleaved(ways, 3)
    quick, full = (times[name][0] / accounts for name in ways)
    met, note = at_least(10.0, full / quick, "x")
    return Row(
        bench="plan",
        variant="small accounts, looked at again",
        n=accounts,
        p50_us=quick,
        value=f"{sum(cut):,} of {sum(refused):,} refused are cut short, {wrong} wrongly",
        against="plan",
        ratio=full / quick,
        goal="10 times as fast as a plan, none wrongly",
        met=met and not wrong,
        note=note,
    )


def _profits(name: str, dollars: int, accounts: int) -> Row:
    """Return what all accounts, each alone, bring by Keeper's plan and the usual one."""
    chance, desk = Random(name), _desk(dollars)  # noqa: S311 - accounts, not secrets
    ours = usual = better = 0
    for _ in range(accounts):
        case = aave_case(*_random_account(chance, least=2_000, times=500))
        plan = _PLANNER.plan(case, desk)
        mine = plan.forecast.net if isinstance(plan, Plan) else 0
        theirs = _usual(case, desk)
        ours, usual, better = ours + mine, usual + theirs, better + (mine > theirs)
    met, note = at_least(1.0, ours / max(usual, 1), "x")
    return Row(
        bench="plan",
        variant=f"profit in {name} pools",
        n=accounts,
        value=f"{ours / 1e18:,.2f} against {usual / 1e18:,.2f} ether; better in {better:,}",
        against="usual",
        ratio=ours / max(usual, 1),
        goal="no less than the usual way",
        met=met,
        note=note,
    )


def _usual(case: Case, desk: Desk) -> int:
    """Return what the usual way nets, wei; nothing where it is not sent."""
    options = case.opportunity.options
    if not options:
        return 0
    option = max(options, key=lambda one: VALUATION.wei_floor(one.debt, one.max_repay))
    seize = seizure(case, option, option.max_repay)
    if isinstance(seize, Miss):
        return 0
    found = routes(desk, option, WETH, owed=seize.repay, received=seize.received)
    for route in found:
        if max(len(route.repay), len(route.sale)) == 1:
            done = trade(case, desk, _TERMS, route, option, seize)
            if isinstance(done, Trade) and not _slips(done):
                return max(done.net, 0)
            return 0
    return 0


def _slips(done: Trade) -> bool:
    """Return whether a leg brings three percent less than the oracle's prices say."""
    for quote in done.swaps():
        first, last = quote.path[0].token_in, quote.path[-1].token_out
        given = VALUATION.wei_floor(first, quote.amount_in)
        got = VALUATION.wei_floor(last, quote.amount_out)
        if got * BPS < given * (BPS - _SLIPPAGE_BPS):
            return True
    return False


def _desk(dollars: int, tiers: Sequence[int] = (500,)) -> Desk:
    pools = [pool_at_par(*pair, dollars=dollars, fee=fee) for fee in tiers for pair in _PAIRS]
    return desk_of(*pools, intermediates=(WETH,))


def _random_account(chance: Random, *, least: int, times: int) -> _Account:
    """Draw an account of ``least`` to ``times`` as many dollars, up to a fifth under the line."""
    total = int(least * times ** chance.random())
    share = chance.choice((0, 20, 50, 80, 100))
    held = {0: total * share // 100, 2: total * (100 - share) // 100}
    debts = chance.choice(({1: 100}, {0: 100}, {1: 70, 0: 30}, {1: 30, 0: 70}))
    rules = chance.choice((V3_0, V3_6))
    return _account(rules, held, debts, health=chance.uniform(0.8, 0.999))


def _account(
    rules: Rules, held: dict[int, int], debts: dict[int, int], *, health: float
) -> _Account:
    """Return an account of dollars held, that owes shares of what makes that health."""
    supported = sum(value * RESERVES[n].threshold_bps for n, value in held.items())
    owed = int(supported / BPS / health)
    position = AavePosition(
        collateral=tuple((n, _raw(n, value)) for n, value in held.items() if value),
        debt=tuple((n, _raw(n, owed * share // 100)) for n, share in debts.items()),
    )
    return aave(rules), position


def _raw(number: int, dollars: int) -> int:
    asset = ASSETS[RESERVES[number].asset]
    return dollars * 10**8 * asset.unit // asset.price
