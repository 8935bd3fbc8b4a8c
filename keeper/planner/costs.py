"""What a plan costs besides its swaps, and what it has to bring."""

from dataclasses import dataclass

from keeper.core.fixed_point import mul_div_ceil, mul_div_floor
from keeper.core.units import BPS


@dataclass(frozen=True, slots=True, kw_only=True)
class GasModel:
    """Gas of a plan before it is simulated; the simulation replaces the estimate."""

    base: int = 620_000
    """Flash loan, liquidation by Aave V3, approvals and sweep, as measured on 3.0."""
    paid_later: int = 220_000
    """The same without a loan, by a protocol that is paid after its callback: Morpho Blue."""
    hop: int = 60_000
    """Each pool swapped through."""
    limit_margin_bps: int = 5_000
    """Room of the gas limit over the estimate."""

    def units(self, hops: int, *, pays_later: bool = False) -> int:
        """Return the gas expected of a liquidation with so many hops."""
        return (self.paid_later if pays_later else self.base) + hops * self.hop

    def limit(self, units: int) -> int:
        """Return the gas limit for an estimate."""
        return mul_div_ceil(units, BPS + self.limit_margin_bps, BPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan must keep to."""

    min_profit: int
    """Least net, wei."""
    max_gas_price: int
    """Wei per gas."""
    min_profit_bps: int = 0
    """Least net, as a share of the value repaid."""
    haircut_bps: int = 500
    """How much less than forecast may reach the recipient before the chain reverts.

    This is the only slippage bound: the swaps themselves run without a price limit, and the
    executor contract requires the minimum profit at the recipient.
    """
    tip_bps: int = 0
    """Share of the profit after gas that goes to the block's proposer."""
    deadline_s: int = 60
    """Seconds after the target block's timestamp until the executor contract reverts."""

    def required_net(self, repaid_wei: int) -> int:
        """Return the least net for a liquidation that repays that value, wei."""
        return max(self.min_profit, mul_div_ceil(repaid_wei, self.min_profit_bps, BPS))

    def tip(self, proceeds: int, gas: int) -> int:
        """Return the tip out of ``proceeds``, wei; none when the gas eats them."""
        return mul_div_floor(max(proceeds - gas, 0), self.tip_bps, BPS)

    def min_received(self, received: int, gas: int, required_net: int) -> int:
        """Return what the chain must see at the recipient, wei."""
        return max(gas + required_net, mul_div_ceil(received, BPS - self.haircut_bps, BPS))
