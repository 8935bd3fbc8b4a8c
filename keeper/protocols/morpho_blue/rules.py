"""The arithmetic of Morpho Blue, in the contracts' own order and rounding.

Mirrors ``morpho-blue`` v1.0.0 (``Morpho.sol``, ``libraries/MathLib.sol``, ``SharesMathLib.sol``,
``ConstantsLib.sol``) and ``pre-liquidation`` (``PreLiquidation.sol``). All are immutable contracts:
there is one revision.
"""

from typing import Final, NamedTuple

from keeper.core.fixed_point import mul_div_ceil, mul_div_floor
from keeper.core.units import MAX_UINT256, WAD

ORACLE_PRICE_SCALE: Final = 10**36
LIQUIDATION_CURSOR: Final = 3 * 10**17
MAX_LIQUIDATION_INCENTIVE_FACTOR: Final = 115 * 10**16
VIRTUAL_SHARES: Final = 10**6
VIRTUAL_ASSETS: Final = 1


# --- shares: SharesMathLib.sol ----------------------------------------------------------------


def to_shares_floor(assets: int, total_assets: int, total_shares: int) -> int:
    """Mirror ``SharesMathLib.toSharesDown``."""
    return mul_div_floor(assets, total_shares + VIRTUAL_SHARES, total_assets + VIRTUAL_ASSETS)


def to_shares_ceil(assets: int, total_assets: int, total_shares: int) -> int:
    """Mirror ``SharesMathLib.toSharesUp``."""
    return mul_div_ceil(assets, total_shares + VIRTUAL_SHARES, total_assets + VIRTUAL_ASSETS)


def to_assets_floor(shares: int, total_assets: int, total_shares: int) -> int:
    """Mirror ``SharesMathLib.toAssetsDown``."""
    return mul_div_floor(shares, total_assets + VIRTUAL_ASSETS, total_shares + VIRTUAL_SHARES)


def to_assets_ceil(shares: int, total_assets: int, total_shares: int) -> int:
    """Mirror ``SharesMathLib.toAssetsUp``."""
    return mul_div_ceil(shares, total_assets + VIRTUAL_ASSETS, total_shares + VIRTUAL_SHARES)


# --- interest: Morpho._accrueInterest ---------------------------------------------------------


class Totals(NamedTuple):
    """What a market holds and owes, raw units of the loan token and shares."""

    supply_assets: int
    supply_shares: int
    borrow_assets: int
    borrow_shares: int


def taylor_compounded(rate: int, seconds: int) -> int:
    """Mirror ``MathLib.wTaylorCompounded``: three terms of ``e^(rate*seconds) - 1``, wad."""
    first = rate * seconds
    second = first * first // (2 * WAD)
    third = second * first // (3 * WAD)
    return first + second + third


def accrued(totals: Totals, *, rate: int, fee: int, seconds: int) -> Totals:
    """Return the totals after ``seconds`` at ``rate`` (wad a second), as ``_accrueInterest`` does.

    ``fee`` is the share of the interest, wad, that is minted to the fee recipient as supply.
    """
    interest = totals.borrow_assets * taylor_compounded(rate, seconds) // WAD
    supply_assets = totals.supply_assets + interest
    supply_shares = totals.supply_shares
    if fee:
        earned = interest * fee // WAD
        supply_shares += to_shares_floor(earned, supply_assets - earned, supply_shares)
    return Totals(supply_assets, supply_shares, totals.borrow_assets + interest, totals[3])


# --- health: Morpho._isHealthy ----------------------------------------------------------------


def collateral_value(collateral: int, price: int) -> int:
    """Return collateral in raw units of the loan token, rounded down."""
    return mul_div_floor(collateral, price, ORACLE_PRICE_SCALE)


def max_borrow(collateral: int, price: int, lltv: int) -> int:
    """Return the most that the collateral supports, raw units of the loan token."""
    return mul_div_floor(collateral_value(collateral, price), lltv, WAD)


def is_healthy(borrowed: int, limit: int) -> bool:
    """Mirror ``_isHealthy``: owing exactly the limit is healthy."""
    return limit >= borrowed


def health_factor(borrowed: int, limit: int) -> int:
    """Return limit over debt, wad, rounded down: below one exactly when it is not healthy."""
    return MAX_UINT256 if borrowed == 0 else limit * WAD // borrowed


# --- amounts: Morpho.liquidate ----------------------------------------------------------------


def incentive_factor(lltv: int) -> int:
    """Mirror ``liquidate``'s incentive: ``min(1.15, 1/(1 - 0.3*(1 - lltv)))``, wad."""
    share = mul_div_floor(LIQUIDATION_CURSOR, WAD - lltv, WAD)
    return min(MAX_LIQUIDATION_INCENTIVE_FACTOR, mul_div_floor(WAD, WAD, WAD - share))


class Amounts(NamedTuple):
    """What a liquidation moves."""

    seized: int
    """Raw units of the collateral."""
    repaid_shares: int
    repaid: int
    """Raw units of the loan token."""


def amounts_of_seized(seized: int, price: int, factor: int, totals: Totals) -> Amounts:
    """Return what asking for ``seized`` collateral moves; every rounding is against the caller."""
    quoted = mul_div_ceil(seized, price, ORACLE_PRICE_SCALE)
    owed = mul_div_ceil(quoted, WAD, factor)
    shares = to_shares_ceil(owed, totals.borrow_assets, totals.borrow_shares)
    return Amounts(seized, shares, _repaid(shares, totals))


def amounts_of_shares(shares: int, price: int, factor: int, totals: Totals) -> Amounts:
    """Return what repaying ``shares`` moves. Raises ZeroDivisionError at a price of zero."""
    assets = to_assets_floor(shares, totals.borrow_assets, totals.borrow_shares)
    seized = mul_div_floor(mul_div_floor(assets, factor, WAD), ORACLE_PRICE_SCALE, price)
    return Amounts(seized, shares, _repaid(shares, totals))


def _repaid(shares: int, totals: Totals) -> int:
    return to_assets_ceil(shares, totals.borrow_assets, totals.borrow_shares)


def bad_debt(shares_left: int, totals: Totals) -> int:
    """Return what suppliers lose when the last collateral is gone and shares remain.

    ``totals`` are those after the repayment.
    """
    return min(totals.borrow_assets, _repaid(shares_left, totals)) if shares_left else 0


# --- pre-liquidation: PreLiquidation.sol ------------------------------------------------------


class PreTerms(NamedTuple):
    """Parameters of a pre-liquidation contract, wads."""

    pre_lltv: int
    close_factor_low: int
    """``preLCF1``, at ``pre_lltv``."""
    close_factor_high: int
    """``preLCF2``, at the market's LLTV; may exceed one."""
    incentive_low: int
    incentive_high: int


class PreCurve(NamedTuple):
    """The two factors at an account's loan-to-value, wads."""

    incentive: int
    close: int


def pre_curve(borrowed: int, value: int, lltv: int, terms: PreTerms) -> PreCurve:
    """Mirror ``PreLiquidation.preLiquidate``'s linear factors between the two thresholds.

    ``value`` is the collateral in raw units of the loan token, above zero.
    """
    ltv = mul_div_ceil(borrowed, WAD, value)
    share = mul_div_floor(ltv - terms.pre_lltv, WAD, lltv - terms.pre_lltv)
    spread = terms.incentive_high - terms.incentive_low
    reach = terms.close_factor_high - terms.close_factor_low
    return PreCurve(
        incentive=mul_div_floor(share, spread, WAD) + terms.incentive_low,
        close=mul_div_floor(share, reach, WAD) + terms.close_factor_low,
    )
