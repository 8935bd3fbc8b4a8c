"""What is swapped along a route: what buys back what is owed, and what the rest comes to."""

from msgspec import Struct

from keeper.core.ports import SwapQuote
from keeper.core.units import Address
from keeper.planner.broker import Broker
from keeper.planner.joint_division import Ways, divide
from keeper.planner.routing import Route

Swaps = tuple[SwapQuote, ...]
"""Of one leg, in the order of their execution."""


class Swapped(Struct, frozen=True, kw_only=True):
    """The swaps of a route, and what is left at its end."""

    proceeds: int
    repay: Swaps = ()
    sale: Swaps = ()
    buyback: Swaps = ()

    @property
    def hops(self) -> int:
        """Pools that are swapped through."""
        return sum(len(swap.path) for swap in (*self.repay, *self.sale, *self.buyback))


class Short(Struct, frozen=True, kw_only=True):
    """The collateral does not bring what is owed: how much of which asset is missing."""

    asset: Address
    amount: int
    """0 when the pools cannot say."""
    tried: int = 0
    """What the pools could not say: raw units of the asset to sell or, with ``buys``, to buy."""
    buys: bool = False


class Task(Struct, frozen=True, kw_only=True):
    """What is to be swapped."""

    token: Address
    held: int
    """Of ``token``."""
    debt: Address
    owed: int
    """Of ``debt``."""


def swap(broker: Broker, route: Route, task: Task) -> Swapped | Short:
    """Return what swapping along a route comes to, or what it falls short of."""
    if route.sale_repays:
        return _sell_for_debt(broker, route, task)
    if not route.repay and not route.buyback:
        return _sell_rest(broker, route, task, (), task.held - task.owed)
    if route.is_joint and (done := _jointly(broker, route, task)) is not None:
        return done
    if route.buyback:
        return _sell_first(broker, route, task)
    repay = broker.buy(route.repay, task.owed)
    if repay is None:
        return Short(asset=task.debt, amount=0, tried=task.owed, buys=True)
    rest = task.held - sum(part.amount_in for part in repay)
    return _sell_rest(broker, route, task, repay, rest)


def _sell_for_debt(broker: Broker, route: Route, task: Task) -> Swapped | Short:
    """Sell all for the native coin, which is what is owed."""
    sale = broker.sell(route.sale, task.held)
    if sale is None:
        return Short(asset=task.token, amount=0, tried=task.held)
    proceeds = _brought(sale) - task.owed
    if proceeds < 0:
        return Short(asset=task.debt, amount=-proceeds)
    return Swapped(sale=sale, proceeds=proceeds)


def _jointly(broker: Broker, route: Route, task: Task) -> Swapped | Short | None:
    """Divide all legs at once; None when no division fits."""
    ways = Ways(repay=route.repay, sale=route.sale, buyback=route.buyback)
    found = divide(broker, ways, owed=task.owed, held=task.held)
    if found is None:
        return None
    return _left(route, found.repay, found.sale, found.buyback)


def _sell_first(broker: Broker, route: Route, task: Task) -> Swapped | Short:
    """Sell all, and buy what is owed out of that."""
    buyback = broker.buy(route.buyback, task.owed)
    if buyback is None:
        return Short(asset=task.debt, amount=0, tried=task.owed, buys=True)
    sale = broker.sell(route.sale, task.held)
    if sale is None:
        return Short(asset=task.token, amount=0, tried=task.held)
    return _left(route, (), sale, buyback)


def _left(route: Route, repay: Swaps, sale: Swaps, buyback: Swaps) -> Swapped | Short:
    """Return what a sale leaves of what it brings."""
    proceeds = _brought(sale) - sum(part.amount_in for part in buyback)
    if proceeds < 0:
        return Short(asset=route.sale[0][-1].token_out, amount=-proceeds)
    return Swapped(repay=repay, sale=sale, buyback=buyback, proceeds=proceeds)


def _sell_rest(
    broker: Broker, route: Route, task: Task, repay: Swaps, rest: int
) -> Swapped | Short:
    if rest < 0:
        return Short(asset=task.token, amount=-rest)
    if not route.sale or rest == 0:
        return Swapped(repay=repay, proceeds=0 if route.sale else rest)
    if repay and route.crosses_itself:
        broker = broker.after(*repay)
    sale = broker.sell(route.sale, rest)
    if sale is None:
        return Short(asset=task.token, amount=0, tried=rest)
    return Swapped(repay=repay, sale=sale, proceeds=_brought(sale))


def _brought(sale: Swaps) -> int:
    return sum(part.amount_out for part in sale)
