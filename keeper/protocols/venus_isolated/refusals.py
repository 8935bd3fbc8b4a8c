"""Why a liquidation would revert, in the contracts' own words."""

from enum import StrEnum

from keeper.core.errors import RefusedError


class Refusal(StrEnum):
    """A custom error, or the text of a revert."""

    HEALTHY = "InsufficientShortfall()"
    TOO_MUCH_REPAY = "TooMuchRepay()"
    NO_AMOUNT = "LiquidateCloseAmountIsZero()"
    TOO_LITTLE_COLLATERAL = "MinimalCollateralViolated(uint256,uint256)"
    TOO_MUCH_COLLATERAL = "CollateralExceedsThreshold(uint256,uint256)"
    INSUFFICIENT_COLLATERAL = "InsufficientCollateral(uint256,uint256)"
    ACTION_PAUSED = "ActionPaused(address,uint8)"
    SEIZE_TOO_MUCH = "LIQUIDATE_SEIZE_TOO_MUCH"
    DEBT_LEFT = "Nonzero borrow balance after liquidation"
    NOTHING_TO_REDEEM = "redeemAmount is zero"
    ILLIQUID = "RedeemTransferOutNotPossible()"
    WORTHLESS = "division by zero"
    NOT_COLLATERAL = "MarketNotCollateral(address,address)"
    NOT_BORROWED = "nothing is owed in the market"
    NOT_THE_SHARE = "healing repays its own share, and no other"
    SEVERAL_MARKETS = "a whole account is taken with one debt and one collateral alone"


class PoolRefusedError(RefusedError):
    """The contracts would revert; ``refusal`` is their reason."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(f"{refusal.value}: {detail}")
        self.refusal = refusal
