"""The arithmetic of Venus's isolated pools, where it is not that of Compound V2.

Mirrors ``Comptroller.sol`` and ``VToken.sol`` of ``@venusprotocol/isolated-pools`` 4.4.0. Interest,
debts and the cTokens that a repayment seizes are reckoned as ``compound_v2.rules`` does. Mantissas
are wads, values 1e18 dollars.
"""

from keeper.core.units import WAD
from keeper.protocols.compound_v2.rules import Stored


def exchange_rate(stored: Stored, bad_debt: int, initial: int) -> int:
    """Mirror ``_exchangeRateStored``: bad debt counts as if it were owed."""
    if stored.supply == 0:
        return initial
    return (stored.cash + stored.borrows + bad_debt - stored.reserves) * WAD // stored.supply


def token_price(rate: int, price: int) -> int:
    """Return the price of one raw cToken: what both sums of collateral begin with."""
    return rate * price // WAD


def collateral_value(tokens: int, *, rate: int, price: int) -> int:
    """Return what cTokens add to ``totalCollateral``."""
    return token_price(rate, price) * tokens // WAD


def weighted_value(tokens: int, *, threshold: int, rate: int, price: int) -> int:
    """Return what cTokens add to ``weightedCollateral``: the weight comes last."""
    return threshold * token_price(rate, price) // WAD * tokens // WAD


def collateral_for(borrows: int, incentive: int) -> int:
    """Return what debts take with their incentive: ``liquidateAccount`` wants more than that."""
    return incentive * borrows // WAD


def healed_share(collateral: int, borrows: int, incentive: int) -> int:
    """Return the share of each debt that ``healAccount`` has repaid, wad; above one it refuses.

    Raises ZeroDivisionError without debts, as the contract panics.
    """
    return collateral * WAD // (borrows * incentive // WAD)


def healed_part(share: int, debt: int) -> int:
    """Return what of a debt is repaid on healing; the rest becomes bad debt."""
    return share * debt // WAD


def protocol_tokens(tokens: int, *, share: int, incentive: int) -> int:
    """Mirror ``_seize``: the cTokens that go to the protocol, redeemed at once."""
    return tokens * share // WAD * WAD // incentive
