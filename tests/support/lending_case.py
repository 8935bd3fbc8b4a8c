"""Accounts of a real adapter's rules beside the hand-made pools of ``lending_desk``."""

from keeper.core.lending import AccountRef, Option, SeizeQuote, Valuation
from keeper.core.plan import Opportunity
from keeper.core.values import replace
from keeper.planner.case import After, Case
from keeper.protocols.aave_v3 import aftermath, gas, health, liquidation
from keeper.protocols.aave_v3.revision import Rules
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from tests.support.aave_market import market, reserve
from tests.support.lending_desk import ACCOUNT, ASSETS, BLOCK, PROTOCOL, USDC, WBTC, WETH, Bonus

TIMESTAMP = BLOCK.timestamp + 12
RESERVES = (
    reserve(0, WETH, "WETH", 18, threshold_bps=8_300, bonus_bps=10_500, updated=TIMESTAMP),
    reserve(1, USDC, "USDC", 6, threshold_bps=7_800, bonus_bps=10_450, updated=TIMESTAMP),
    reserve(2, WBTC, "WBTC", 8, threshold_bps=7_000, bonus_bps=11_000, updated=TIMESTAMP),
)
PRICES = {asset: value.price for asset, value in ASSETS.items()}
VALUATION = Valuation(assets=ASSETS, native_price=ASSETS[WETH].price)


def aave(rules: Rules) -> AaveMarket:
    """Return a market of three reserves at the desk's prices, under the rules of a release."""
    return market(rules, RESERVES, prices=PRICES, timestamp=TIMESTAMP)


def aave_case(view: AaveMarket, position: AavePosition) -> Case:
    """Return an account of the market as the planner is handed it."""
    opportunity = Opportunity(
        ref=AccountRef(market=PROTOCOL, account=ACCOUNT),
        block=BLOCK,
        timestamp=TIMESTAMP,
        health=health.assess(view, position),
        options=liquidation.options(view, position),
        trigger="a test",
    )
    return Case(
        opportunity=opportunity,
        deployment="aave_v3.local",
        valuation=VALUATION,
        seize=liquidation.seizer(view, position),
        calls=Bonus().calls,
        gas=lambda option, quotes: gas.of(view, position, option, len(quotes)),
    )


def in_steps(case: Case, view: AaveMarket, position: AavePosition) -> Case:
    """Return the case with what each liquidation leaves, so that another may follow."""

    def after(option: Option, quote: SeizeQuote) -> After | None:
        found = aftermath.after_seize(view, position, option, quote)
        if found is None:
            return None
        left = health.assess(*found)
        return After(health=left, case=lambda: in_steps(aave_case(*found), *found))

    return replace(case, after=after)
