"""What a vault gives for shares, as a function that is held to the vault's own answers.

A vault is asked what it would give for a few amounts. The formulas that vaults are known to use are
tried on these; the first that gives every answer to the unit is taken, and is exact. Where none
does, what one enormous answer implies is used: never more than the vault gives, at most one unit
less. A vault that answers to neither is not understood.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

from msgspec import Struct

from keeper.core.errors import StaleError
from keeper.core.units import RAY, WAD
from keeper.core.values import replace

PROBE: Final = 2**128
"""Shares whose worth tells the price of one share to 38 digits."""
_DENOMINATORS: Final = (10**5, WAD)
"""Of what a fee leaves, at the most: of one in basis points, and of any other."""


class Curve(Struct, frozen=True, kw_only=True):
    """``floor(floor(shares * assets / supply) * kept)``, less ``slack``."""

    assets: int
    supply: int
    kept: Fraction = Fraction(1)
    """What the vault's fee leaves."""
    slack: int = 0
    is_totals: bool = False
    """True where the two are the vault's totals, which redeeming lowers."""
    is_exact: bool = True

    def of(self, shares: int) -> int:
        """Return what shares bring, rounded as the vault rounds."""
        gross = shares * self.assets // self.supply
        net = gross * self.kept.numerator // self.kept.denominator
        return max(net - self.slack, 0)

    def after(self, shares: int, assets: int) -> "Curve":
        """Return the curve once shares were redeemed. Rounding favours those who stay."""
        if not self.is_totals or self.kept != 1:
            return self
        return replace(self, assets=self.assets - assets, supply=self.supply - shares)


class Readings(Struct, frozen=True, kw_only=True):
    """What a vault says of itself at one block."""

    total_assets: int
    total_supply: int
    offset: int
    """Decimals of the share beyond those of the underlying."""
    converted: int
    """``convertToAssets(PROBE)``: before any fee."""
    previews: Mapping[int, int]
    """``previewRedeem`` by shares; ``PROBE`` is among them."""


def fitted(readings: Readings) -> Curve:
    """Return the curve of a vault. Raises StaleError when its answers are on none."""
    for curve in _known(readings):
        if all(curve.of(shares) == given for shares, given in readings.previews.items()):
            return curve
    return _bounded(readings)


def _known(readings: Readings) -> Iterator[Curve]:
    """Yield the formulas of vaults that are known, without a fee and with one."""
    left = {Fraction(1)}
    if 0 < readings.previews[PROBE] < readings.converted:
        kept = Fraction(readings.previews[PROBE], readings.converted)
        left = {kept.limit_denominator(most) for most in _DENOMINATORS}
    for base in _bases(readings):
        if base.supply > 0:
            yield from (replace(base, kept=fee) for fee in left)


def _bases(readings: Readings) -> Iterator[Curve]:
    assets, supply = readings.total_assets, readings.total_supply
    # OpenZeppelin's ERC4626: one virtual unit of assets, 10**offset virtual shares.
    yield Curve(assets=assets + 1, supply=supply + 10**readings.offset, is_totals=True)
    # Solmate's and its like: the totals themselves.
    yield Curve(assets=assets, supply=supply, is_totals=True)
    # Those that keep a price: of a ray, as sDAI and Aave's static tokens do, or of a wad.
    for scale in (RAY, WAD):
        yield Curve(assets=-(-readings.converted * scale // PROBE), supply=scale)


def _bounded(readings: Readings) -> Curve:
    """Return the curve that the probe implies, if the other answers are within a unit of it."""
    has_fee = readings.previews[PROBE] < readings.converted
    # A fee rounds a second time: by a unit more than the probe shows.
    curve = Curve(assets=readings.previews[PROBE], supply=PROBE, slack=int(has_fee), is_exact=False)
    for shares, given in readings.previews.items():
        implied = shares * curve.assets // PROBE
        if not -int(has_fee) <= given - implied <= 1:
            msg = f"expected previewRedeem({shares}) to be near {implied}, in proportion to other "
            msg += f"amounts, found {given}"
            raise StaleError(msg)
    return curve
