"""What a plan costs besides its swaps, and what it has to bring."""

from msgspec import Struct

from keeper.core.fixed_point import mul_div_ceil, mul_div_floor
from keeper.core.units import BPS


class GasModel(Struct, frozen=True, kw_only=True):
    """Gas of a plan's own part before it is simulated; the simulation replaces the estimate.

    What liquidating takes is told by the protocol's adapter, what borrowing takes by the lender.
    """

    base: int = 60_000
    """The transaction itself, the executor's run, and the profit's way to the recipient."""
    hop: int = 60_000
    """Each pool swapped through, in tokens that add nothing of their own."""
    bytes_base: int = 240
    """Bytes of the unsigned transaction, to bound a rollup's charge before it is built."""
    bytes_more: int = 80
    """Of each further liquidation."""
    bytes_hop: int = 50
    """Of each pool swapped through: mostly the addresses of pool and token."""
    bytes_unwinding: int = 100
    """Of redeeming the collateral: two addresses, and a whole word of a withdrawal."""

    def units(self, hops: int) -> int:
        """Return the gas expected of all but liquidating, borrowing and redeeming."""
        return self.base + hops * self.hop

    def size(self, hops: int, *, steps: int = 1, unwinds: bool = False) -> int:
        """Return the most bytes expected of the unsigned transaction of a plan."""
        base = self.bytes_base + unwinds * self.bytes_unwinding
        return base + (steps - 1) * self.bytes_more + hops * self.bytes_hop


class Limits(Struct, frozen=True, kw_only=True):
    """What a plan must keep to."""

    min_profit: int
    """Least net, wei."""
    max_gas_price: int
    """Most that a plan may offer, wei per gas."""
    min_profit_bps: int = 0
    """Least net, as a share of the value repaid."""
    haircut_bps: int = 500
    """How much less than forecast may reach the recipient before the chain reverts.

    This is the only slippage bound: the swaps themselves run without a price limit, and the
    executor contract requires the minimum profit at the recipient.
    """
    tip_fixed: int = 0
    """Wei to the block's proposer out of the proceeds of every plan that can pay them."""
    tip_bps: int = 0
    """Share of the profit after gas and the fixed tip that goes to the proposer as well."""
    bid_bps: int = 0
    """Share of the profit after gas and tip that raises the priority fee, within the cap."""
    inclusion_bps: int = 0
    """Share of the proceeds that is not counted on, as prices move until inclusion."""
    deadline_s: int = 60
    """Seconds after the target block's timestamp until the executor contract reverts."""
    max_forced_loss: int | None = None
    """The most that liquidating an insolvent account may lose, wei; None forces nothing."""

    def required_net(self, repaid_wei: int) -> int:
        """Return the least net for a liquidation that repays that value, wei."""
        return max(self.min_profit, mul_div_ceil(repaid_wei, self.min_profit_bps, BPS))

    def haircut(self, proceeds: int) -> int:
        """Return what is not counted on of the proceeds, wei."""
        return mul_div_ceil(proceeds, self.inclusion_bps, BPS)

    def tip(self, proceeds: int, gas: int) -> int:
        """Return the tip out of ``proceeds``, wei; none when the gas eats them."""
        left = max(proceeds - gas, 0)
        fixed = min(self.tip_fixed, left)
        return fixed + mul_div_floor(left - fixed, self.tip_bps, BPS)

    def bid(self, profit: int, gas_units: int, max_fee: int) -> int:
        """Return by how much to raise the priority fee for a profit, wei per gas.

        ``max_fee`` is the maximum fee that it comes on top of; both stay within the cap.
        """
        wanted = mul_div_floor(max(profit, 0), self.bid_bps, BPS) // max(gas_units, 1)
        return min(wanted, max(self.max_gas_price - max_fee, 0))

    def min_received(self, received: int, gas: int, required_net: int) -> int:
        """Return what the chain must see at the recipient, wei."""
        return max(gas + required_net, mul_div_ceil(received, BPS - self.haircut_bps, BPS))
