"""What all chains of a keeper together may do, and how much of that is taken.

Gas of different coins is added up in US dollars, each at the price that its chain read last. What
is left is looked at and reserved without a wait in between, so that two chains never take the same
room; what is in flight counts at the most that it may cost. An unknown price is no zero: until it
is known nothing is sent that needs it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.fixed_point import mul_div_ceil
from keeper.core.lending import Reason, Rejection
from keeper.core.plan import Intent, Outcome, Plan
from keeper.core.units import WAD
from keeper.executor.flight import Flight
from keeper.executor.policy import worst_gas
from keeper.executor.standing import DAY, HOUR

READ_EVERY_S: Final = 60
"""How often a coin's price is read for this."""

OLDEST_PRICE_S: Final = 3_600
"""Since when a price must have been read by the chain that wants to send."""

_KEPT_S: Final = 7 * DAY
"""How long what was spent is remembered: beyond the longest budget, as clocks are set back."""

PriceAt = Callable[[BlockRef], Awaitable[int | None]]
"""The native coin's price at a block, US dollars (wad); None when its feed has no fit answer."""


class TotalLimits(Struct, frozen=True, kw_only=True):
    """Budgets over all chains; None is no such budget. Money is US dollars (wad)."""

    max_in_flight: int | None = None
    max_gas_per_hour: int | None = None
    max_gas_per_day: int | None = None


class CoinPrice(Struct, frozen=True, kw_only=True):
    """What a native coin was worth, US dollars (wad), and when it was read (unix seconds)."""

    value: int
    read: int


class Share:
    """One chain's part of the totals. Wei of its own coin."""

    def __init__(self, totals: "Totals", name: str) -> None:
        """Make the share of a chain of which nothing is known."""
        self.name = name
        self.price: CoinPrice | None = None
        self._totals = totals
        self._spent: dict[str, tuple[int, int]] = {}
        self._left_open: tuple[int, int] = (0, 0)
        self._flight: Flight | None = None
        self._price_at: PriceAt | None = None
        self._reserved: list[int] = []

    def now(self) -> int:
        """Return unix seconds."""
        return self._totals.now()

    def recall(self, spent: Mapping[str, tuple[int, int]], *, at_stake: int, open_: int) -> None:
        """Take what an earlier run left: time and gas by plan, and what is open still."""
        self._spent |= spent
        self._left_open = (at_stake, open_)

    def opened(self, flight: Flight, price_at: PriceAt) -> None:
        """Take what is in flight from now on, and where the coin's price is read."""
        self._flight, self._price_at = flight, price_at
        self._reserved = []

    def note(self, outcome: Outcome) -> None:
        """Take an outcome that was entered in the books just now."""
        now = self._totals.now()
        kept = {key: one for key, one in self._spent.items() if one[0] > now - _KEPT_S}
        self._spent = kept | {outcome.plan_id: (now, outcome.realised.gas)}

    def reopened(self, intent: Intent) -> None:
        """Count an intent whose outcome a reorg undid as what it is again: in flight, not spent."""
        for plan_id in (intent.plan_id, *(one.plan_id for one in intent.companions)):
            self._spent.pop(plan_id, None)

    async def look(self, head: BlockRef) -> None:
        """Read the coin's price again when it is time to; one that cannot be had grows old."""
        now = self._totals.now()
        due = self.price is None or not 0 <= now - self.price.read < READ_EVERY_S
        if self._price_at is None or not self._totals.counts_money or not due:
            return
        try:
            value = await self._price_at(head)
        except (TransientError, StaleError, RefusedError):
            return
        if value is not None:
            self.price = CoinPrice(value=value, read=now)

    @property
    def needs_price(self) -> bool:
        """Return whether a budget is of money."""
        return self._totals.counts_money

    @property
    def at_stake(self) -> int:
        """The most that what is in flight, or about to be, may cost."""
        flying = self._left_open[0] if self._flight is None else self._flight.at_stake
        return flying + sum(self._reserved)

    @property
    def in_flight(self) -> int:
        """How many transactions are in flight, or about to be."""
        flying = self._left_open[1] if self._flight is None else len(self._flight.airborne)
        return flying + len(self._reserved)

    def spent_since(self, timestamp: int) -> int:
        """Return the gas of the outcomes since a time."""
        return sum(gas for at, gas in self._spent.values() if at >= timestamp)

    def dollars(self, wei: int) -> int | None:
        """Return what an amount of the coin is worth, rounded up; None when nobody knows."""
        if wei == 0:
            return 0
        return None if self.price is None else mul_div_ceil(wei, self.price.value, WAD)

    def admit(self, plans: Sequence[Plan]) -> tuple[list[Plan], list[Rejection]]:
        """Split plans into those that the totals leave room for, which is reserved, and others."""
        admitted: list[Plan] = []
        rejected: list[Rejection] = []
        for plan in plans:
            why = self._totals.refusal(self, worst_gas(plan))
            if why is None:
                self._reserved.append(worst_gas(plan))
                admitted.append(plan)
            else:
                rejected.append(_no(plan, why))
        return admitted, rejected

    def has_room(self, plans: Sequence[Plan]) -> bool:
        """Return whether there is room for all of the plans, which take off before anything else.

        No room is kept for them.
        """
        before, self._reserved = self._reserved, [*self._reserved]
        try:
            return not self.admit(plans)[1]
        finally:
            self._reserved = before

    def release(self) -> None:
        """Give back what was reserved: what came of it is in flight by now."""
        self._reserved = []

    def used(self) -> dict[str, tuple[str, str]]:
        """Return for each total, in words, what is taken of it on all chains and how much it is."""
        return self._totals.used(self)

    def left(self) -> int | None:
        """Return how much more gas the totals leave room for, wei; None without such a budget."""
        return self._totals.left(self)


class Totals:
    """The budgets over all chains, and each chain's share."""

    def __init__(self, limits: TotalLimits, *, now: Callable[[], float]) -> None:
        """Count by a wall clock, unix seconds: budgets are of real hours and days."""
        self._limits = limits
        self._now = now
        self._shares: dict[str, Share] = {}

    def now(self) -> int:
        """Return unix seconds."""
        return int(self._now())

    @property
    def counts_money(self) -> bool:
        """Return whether prices are needed at all."""
        limits = self._limits
        return limits.max_gas_per_hour is not None or limits.max_gas_per_day is not None

    def share(self, name: str) -> Share:
        """Return a chain's share, the same at each call."""
        return self._shares.setdefault(name, Share(self, name))

    def refusal(self, share: Share, worst: int) -> str | None:
        """Return which total one more transaction would break, in words, or None."""
        cap, flying = self._limits.max_in_flight, self._flying()
        if cap is not None and flying >= cap:
            return f"{flying} in flight on all chains, the cap is {cap}"
        if not self.counts_money:
            return None
        if unknown := self._unknown(share):
            return unknown
        wanted = share.dollars(worst) or 0
        for what, taken, most in self._taken():
            if taken + wanted > most:
                found, allowed = _shown(taken + wanted), _shown(most)
                return f"gas in {what} on all chains: {found} USD at most, the cap is {allowed} USD"
        return None

    def used(self, share: Share) -> dict[str, tuple[str, str]]:
        """Return for each total, in words, what is taken of it and how much it is.

        What nobody knows, as a coin's price is not known, is said to be unknown.
        """
        cap = self._limits.max_in_flight
        found = {} if cap is None else {"in flight": (str(self._flying()), str(cap))}
        unknown = self.counts_money and self._unknown(share) is not None
        for what, taken, most in self._taken():
            shown = "unknown" if unknown else f"{_shown(taken)} USD"
            found[f"gas in {what}"] = (shown, f"{_shown(most)} USD")
        return found

    def _flying(self) -> int:
        return sum(one.in_flight for one in self._shares.values())

    def left(self, share: Share) -> int | None:
        """Return the gas that the totals leave room for on a chain, wei; None without limits."""
        if not self.counts_money:
            return None
        if self._unknown(share) or share.price is None:
            return 0
        room = min(most - taken for _, taken, most in self._taken())
        return max(room, 0) * WAD // share.price.value

    def _unknown(self, share: Share) -> str | None:
        """Return what is not known that must be, in words, or None."""
        age = None if share.price is None else self.now() - share.price.read
        if age is None or not -READ_EVERY_S <= age <= OLDEST_PRICE_S:  # clocks are set back
            found = "none yet" if age is None else f"one of {age} s ago"
            return f"totals: expected a price of {share.name}'s coin for gas in USD, found {found}"
        day = self.now() - DAY
        for one in self._shares.values():
            if one.dollars(one.spent_since(day) + one.at_stake) is None:
                return f"totals: expected a price of {one.name}'s coin, which has spent, found none"
        return None

    def _taken(self) -> list[tuple[str, int, int]]:
        """Return for each budget its name, what is taken of it and how much it is."""
        budgets = (
            ("an hour", HOUR, self._limits.max_gas_per_hour),
            ("a day", DAY, self._limits.max_gas_per_day),
        )
        return [
            (what, self._dollars_since(self.now() - window), most)
            for what, window, most in budgets
            if most is not None
        ]

    def _dollars_since(self, timestamp: int) -> int:
        amounts = (
            one.dollars(one.spent_since(timestamp) + one.at_stake) for one in self._shares.values()
        )
        return sum(one or 0 for one in amounts)


def _shown(dollars: int) -> str:
    """Return an amount with its cents, rounded up."""
    cents = -(-dollars * 100 // WAD)
    return f"{cents // 100}.{cents % 100:02d}"


def _no(plan: Plan, why: str) -> Rejection:
    return Rejection(
        ref=plan.ref,
        block=plan.opportunity.block.number,
        reason=Reason.POLICY,
        detail=why,
        net_wei=plan.forecast.net,
    )
