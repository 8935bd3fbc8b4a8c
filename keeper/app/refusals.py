"""Why an opportunity is not planned, as rejections."""

from collections.abc import Sequence

from keeper.chain.errors import GasCappedError
from keeper.core.errors import KeeperError
from keeper.core.lending import Reason, Rejection
from keeper.core.plan import Opportunity


def refused(opportunity: Opportunity, reason: Reason, error: KeeperError) -> Rejection:
    """Return an error as the reason."""
    return Rejection(
        ref=opportunity.ref,
        block=opportunity.block.number,
        reason=reason,
        detail=str(error),
    )


def gas_capped(opportunities: Sequence[Opportunity], error: GasCappedError) -> list[Rejection]:
    """Return that gas costs more than the operator allows."""
    return [refused(one, Reason.GAS_PRICE_CAP, error) for one in opportunities]


def too_small(opportunity: Opportunity, least: int) -> Rejection:
    """Return that less is owed than ``least``, in the market's unit."""
    owed = opportunity.health.debt_base
    return Rejection(
        ref=opportunity.ref,
        block=opportunity.block.number,
        reason=Reason.TOO_SMALL,
        detail=f"owes {owed}, min_debt_base is {least} (base units)",
    )
