"""What plans of one look were made of: to make them again, or one transaction of several."""

from collections.abc import Sequence

from keeper.core.lending import Rejection
from keeper.core.plan import Plan
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.planner.case import Desk
from keeper.planner.markets import Markets
from keeper.planner.offers import Chosen
from keeper.planner.planner import Planner


class Made:
    """What plans were made of, together, to make those again that remain."""

    def __init__(
        self, planner: Planner, chosen: Sequence[Chosen], desk: Desk, markets: Markets
    ) -> None:
        """Take what was chosen at ``desk`` and in ``markets``."""
        self._planner = planner
        self._desk = desk
        self._markets = markets.copy()
        self._chosen = {one.case.opportunity.ref: one for one in chosen}

    def also(self, chosen: Sequence[Chosen]) -> None:
        """Take what was chosen behind these; it is not made again."""
        self._chosen |= {one.case.opportunity.ref: one for one in chosen}

    def of(self, plan: Plan) -> Chosen:
        """Return what the plan was made of."""
        return self._chosen[plan.ref]

    def again(self, plans: Sequence[Plan]) -> tuple[list[Plan], list[Rejection]]:
        """Return the plans as they are without the others (``Remake``).

        What is made anew takes no offer from outside: those were for other amounts.
        """
        before = [self._chosen[plan.ref] for plan in plans]
        kept, refused = self._planner.choose_again(before, self._desk, self._markets)
        of = {plan.ref: plan for plan in plans}
        made = [self._remade(of[one.case.opportunity.ref], one) for one in kept]
        return made, refused

    def _remade(self, plan: Plan, chosen: Chosen) -> Plan:
        """Return the plan, or another for what is chosen by now, to be sent by the same one."""
        if self._chosen[plan.ref] is chosen:
            return plan
        self._chosen[plan.ref] = chosen
        made = self._planner.build(chosen)
        sender = plan.transaction.sender
        return replace(made, transaction=replace(made.transaction, sender=sender))


class Merger:
    """Makes one transaction of several plans (``core.joint.Merging``)."""

    def __init__(self, planner: Planner, made: Made, recipient: Address) -> None:
        """Pay each account's part to ``recipient``, whom the executor contract pays."""
        self._planner = planner
        self._made = made
        self._recipient = recipient

    def takes(self, plan: Plan) -> bool:
        """Return whether the plan can go with others: no tip, no offer, and not at a loss."""
        is_local = self._planner.swaps_of(self._made.of(plan)) == plan.route
        return is_local and not plan.tip and not plan.forced

    def merge(self, plans: Sequence[Plan]) -> Plan:
        """Return the first plan with the others as its companions."""
        chosen = [self._made.of(plan) for plan in plans]
        return self._planner.merge(plans, chosen, self._recipient)
