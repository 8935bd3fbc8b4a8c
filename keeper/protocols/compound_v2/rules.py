"""The arithmetic of the Compound V2 family, in its order and with its roundings.

Mirrors ``CToken.sol``, ``Comptroller.sol`` and ``ExponentialNoError.sol`` of compound-protocol, and
``VToken.sol``, ``ComptrollerLens.sol`` and ``Liquidator.sol`` of venus-protocol 10.3.0. Mantissas
are wads. A price is that of one raw unit of the underlying, in 1e18 US dollars times 1e18: what
``getUnderlyingPrice`` answers.
"""

from collections.abc import Callable

from msgspec import Struct

from keeper.core.units import WAD
from keeper.core.values import replace

MulExp = Callable[[int, int], int]
"""Product of two mantissas."""


def mul_exp_truncated(a: int, b: int) -> int:
    """Mirror ``ExponentialNoError.mul_``: since Compound's Comptroller of 2021, and Venus."""
    return a * b // WAD


def mul_exp_half_up(a: int, b: int) -> int:
    """Mirror ``Exponential.mulExp`` of the Comptrollers before."""
    return (a * b + WAD // 2) // WAD


# --- interest: CToken.accrueInterest ----------------------------------------------------------


class Stored(Struct, frozen=True, kw_only=True):
    """What of a market accrues, as it is stored. Raw units of the underlying; ``index`` a wad."""

    cash: int
    borrows: int
    reserves: int
    index: int
    supply: int
    """cTokens in circulation."""


def accrued(stored: Stored, *, rate: int, periods: int, reserve_factor: int) -> Stored:
    """Mirror ``accrueInterest``: simple interest of one accrual over so many blocks or seconds.

    ``rate`` is that of the stored state, so the result depends on how often somebody accrues.
    """
    factor = rate * periods
    interest = factor * stored.borrows // WAD
    return replace(
        stored,
        borrows=stored.borrows + interest,
        reserves=stored.reserves + reserve_factor * interest // WAD,
        index=stored.index + factor * stored.index // WAD,
    )


def exchange_rate(stored: Stored, initial: int) -> int:
    """Mirror ``exchangeRateStoredInternal``: underlying for one raw cToken, a wad."""
    if stored.supply == 0:
        return initial
    return (stored.cash + stored.borrows - stored.reserves) * WAD // stored.supply


def borrow_balance(principal: int, principal_index: int, index: int) -> int:
    """Mirror ``borrowBalanceStoredInternal``."""
    return 0 if principal == 0 else principal * index // principal_index


# --- health: getHypotheticalAccountLiquidityInternal ------------------------------------------


def collateral_value(
    tokens: int, *, factor: int, rate: int, price: int, mul: MulExp = mul_exp_truncated
) -> int:
    """Return the weighted value of cTokens, 1e18 dollars. ``factor`` is a wad."""
    return token_weight(factor, rate, price, mul) * tokens // WAD


def token_weight(factor: int, rate: int, price: int, mul: MulExp) -> int:
    """Return the weighted value of 1e18 cTokens, which is the same for every account."""
    return mul(mul(factor, rate), price)


def debt_value(amount: int, price: int) -> int:
    """Return the value of a debt, 1e18 dollars."""
    return price * amount // WAD


# --- liquidation: liquidateBorrowAllowed, liquidateCalculateSeizeTokens -----------------------


def max_close(close_factor: int, debt: int) -> int:
    """Return the most that one call may repay of a debt."""
    return close_factor * debt // WAD


def seize_ratio(
    *,
    incentive: int,
    debt_price: int,
    collateral_price: int,
    rate: int,
    mul: MulExp = mul_exp_truncated,
) -> int:
    """Return the cTokens seized for one raw unit repaid, a wad."""
    return mul(incentive, debt_price) * WAD // mul(collateral_price, rate)


def seized_tokens(ratio: int, repay: int) -> int:
    """Return the cTokens seized for a repayment."""
    return ratio * repay // WAD


def most_repaid_for(ratio: int, tokens: int) -> int | None:
    """Return the largest repayment that seizes no more than ``tokens``; None for any."""
    return None if ratio == 0 else ((tokens + 1) * WAD - 1) // ratio


def protocol_share(tokens: int, share: int) -> int:
    """Mirror ``CToken.seizeInternal``: the seized cTokens that become reserves."""
    return tokens * share // WAD


def treasury_cut(tokens: int, *, incentive: int, percent: int) -> int:
    """Mirror Venus ``Liquidator._splitLiquidationIncentive``: a share of the bonus alone."""
    return tokens * (incentive - WAD) // incentive * percent // WAD


def redeemed(tokens: int, rate: int) -> int:
    """Mirror ``redeemFresh``: underlying for cTokens."""
    return rate * tokens // WAD


# --- VAI: VAIController ------------------------------------------------------------------------


def minted_debt(amount: int, past_interest: int, *, index: int, own_index: int) -> int:
    """Mirror ``VAIController.getVAIRepayAmount``."""
    return amount + (index - own_index) * (amount - past_interest) // WAD


def minted_repaid(repay: int, owed: int, amount: int, past_interest: int) -> int:
    """Mirror ``VAIController.getVAICalculateRepayAmount``: what of an offer is taken.

    ``owed`` is all of the debt, ``amount`` what of it is minted or past interest. An offer is split
    into what is burnt and what is interest by a share that rounds down, and so does each part.
    """
    interest = owed - amount + past_interest
    if repay >= owed:
        return owed
    share = repay * WAD // owed
    return (owed - interest) * share // WAD + interest * share // WAD
