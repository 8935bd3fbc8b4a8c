"""The most that an account can bring at a desk, without a search: what cannot pay is not planned.

A market that fell leaves hundreds of loans that are too small for their gas. Each block they are
looked at again. The rate of a path only falls with the amount, and what a protocol gives for what
is repaid is the same for each unit: so the rates where the pools stand, and the largest seizure,
bound every amount along every route. The bound is reckoned in floats and has slack, which covers
what is rounded as well; it only ever says that a plan is not worth making.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

from keeper.core.lending import Option, Reason, Rejection, SeizeQuote
from keeper.core.units import Address
from keeper.planner.case import Case, Desk
from keeper.planner.refusals import refused
from keeper.planner.routing import pairs_needed
from keeper.planner.stepping import MOST_STEPS
from keeper.planner.trade import Miss, Terms, seizure

_SLACK: Final = 1e-6
"""Of what is seized, for what floats and integers round; far below any plan's precision."""
_NEAR_SHIFT: Final = 10
"""Who is within ``1/2**10`` of the least net is planned: receipts such as cTokens are seized in
steps of their own, which are worth more than raw units and nothing beside a profit."""
_RAW_UNITS: Final = 16
"""Raw units of each asset that the integers of a route may round by."""


class Ceilings:
    """What accounts can bring at most at one desk; remembers the rates there."""

    def __init__(self, desk: Desk, terms: Terms) -> None:
        """Take the desk, and the terms whose least net is to be reached."""
        self.desk = desk
        self._terms = terms
        self._rates: dict[tuple[Address, Address], float] = {}

    def refusal(self, case: Case) -> Rejection | None:
        """Return that an account cannot pay, None where it may, or where that is not known."""
        if self._terms.limits.max_forced_loss is not None:
            return None
        needed, options = self._terms.limits.min_profit, case.opportunity.options
        most = max((self.most(case, one, needed) for one in options), default=inf)
        if most == -inf or _reaches(most, needed):
            return None
        detail = (
            f"nets {int(most)} wei at most, were the pools as good for all of it as for the first "
            f"unit: needs {needed - int(most)} more wei"
        )
        return refused(case, Reason.BELOW_MIN_PROFIT, detail)

    def may_bring(self, case: Case, option: Option, wei: int) -> bool:
        """Return whether an option may net that much, or nearly."""
        return _reaches(self.most(case, option, wei), wei)

    def most(self, case: Case, option: Option, needed: int) -> float:
        """Return more than an option can net, wei; ``-inf`` where it cannot be carried out at all.

        ``inf`` where that is not known: shares bring what their vault gives, and a protocol that
        refuses the largest amount may take a smaller one. How often a call may be repeated is asked
        only where ``needed`` depends on it.
        """
        if option.max_repay < 1:
            return -inf
        if option.collateral in self.desk.unwinding.books:
            return inf
        whole = seizure(case, option, option.max_repay)
        if isinstance(whole, Miss):
            return inf
        margin = self._margin(case, option, whole)
        if margin == -inf:
            return -inf
        margin = max(margin, 0.0)
        once, twice = (self._gas(case, option, (whole,) * steps) for steps in (1, 2))
        single, repeated = margin - once, MOST_STEPS * margin - twice
        if single < needed <= repeated:
            repeated = _times(case, option, whole) * margin - twice
        return max(single, repeated)

    def _margin(self, case: Case, option: Option, whole: SeizeQuote) -> float:
        """Return what is left of a seizure once the debt is bought, at the pools' rates, wei.

        ``-inf`` where no pools lead to what is needed.
        """
        native, coin, debt = self._terms.native, option.collateral, option.debt
        if not (sale := self._rate(coin, native)):
            return -inf
        sold = whole.received * sale
        back = sold - _divided(whole.repay, self._rate(native, debt))
        first = whole.received - _divided(whole.repay, self._rate(coin, debt))
        left = max(back, first * sale)
        rounded = sum(case.valuation.wei_floor(one, _RAW_UNITS) + 1 for one in (coin, debt))
        return left + sold * _SLACK + rounded

    def _rate(self, sold: Address, bought: Address) -> float:
        """Return the raw units that the first one sold brings along the best path, 0 without."""
        if sold == bought:
            return 1.0
        found = self._rates.get((sold, bought))
        if found is None:
            rates = (self.desk.rate(path, None) for path in self.desk.paths(sold, bought))
            found = self._rates[sold, bought] = max(rates, default=0.0)
        return found

    def _gas(self, case: Case, option: Option, steps: Sequence[SeizeQuote]) -> int:
        """Return the gas over the fewest pools, a rollup's data included, wei."""
        hops = len(pairs_needed(option.collateral, option.debt, self._terms.native))
        price, gas = self.desk.gas_price, self._terms.gas
        data = self.desk.data_fees.at_most(gas.size(hops, steps=len(steps)))
        return (gas.units(hops) + case.gas(option, steps)) * price + data.at(price)


def _reaches(most: float, wei: int) -> bool:
    return most >= wei - (abs(wei) >> _NEAR_SHIFT)


def _divided(amount: int, rate: float) -> float:
    """Return what is sold for an amount; more than anybody has where there is no rate."""
    return amount / rate if rate else inf


def _times(case: Case, option: Option, whole: SeizeQuote) -> float:
    """Return how often the largest call may be repeated: at most until all debt is repaid."""
    after, owed = case.after(option, whole), case.opportunity.health.debt_base
    repaid = 0 if after is None else owed - after.health.debt_base
    return min(owed / repaid, MOST_STEPS) if repaid > 0 else MOST_STEPS
