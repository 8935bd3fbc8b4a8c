"""Why somebody else's liquidation was not ours, told from what we had done about the account."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from keeper.core.accounting import Settlement, waterfall
from keeper.core.chain import BlockRef, Receipt
from keeper.core.lending import AssetValue, Liquidation, Rejection, Valuation
from keeper.core.plan import Purpose, Status, Submission
from keeper.core.taken import Asset, Cause, OurPart, Taken
from keeper.core.text import printable
from keeper.core.units import Address

_DETAIL: Final = 200
"""Characters of a detail that are kept."""
_OVER: Final = frozenset({Status.LANDED, Status.REVERTED, Status.CANCELLED, Status.DROPPED})


class Scene(Struct, frozen=True, kw_only=True):
    """A transaction that liquidated, where it stands in the chain."""

    receipt: Receipt
    block: BlockRef
    moved: str
    """The last move of a price, in words."""

    @property
    def gas(self) -> int:
        """What its gas cost, wei, with what a rollup charges for its data."""
        return self.receipt.gas_used * self.receipt.effective_gas_price + self.receipt.l1_fee

    @property
    def priority_fee(self) -> int:
        """What it paid over the base fee, wei per gas."""
        return self.receipt.effective_gas_price - self.block.base_fee


class Ours(Struct, frozen=True, kw_only=True):
    """What we knew of an account, and had done about it, before the block."""

    since: int | None
    """The head at which we first found it under the line, None when we had not."""
    left: Rejection | None
    """Why we had left it alone since."""
    part: OurPart | None
    looked: int | None = None
    """The last head before at which we looked at everybody, None before the first."""
    away: bool = False
    """Whether the keeper was not running."""

    @property
    def net(self) -> int | None:
        """Return what we had expected to net, wei, where we had reckoned; ours may have had it."""
        part = self.part
        if part is not None and (part.status is not Status.LANDED or part.target_block is not None):
            return part.net
        return None if self.left is None else self.left.net_wei


def told(
    deployment: str,
    liquidation: Liquidation,
    scene: Scene,
    ours: Ours,
    *,
    gas: int,
    valuation: Valuation | None,
) -> Taken:
    """Return the note of one liquidation by somebody else; ``gas`` is its part of the cost, wei.

    ``valuation`` is of the block's prices, None where there is none.
    """
    cause, detail = cause_of(ours, scene)
    penalty, protocol_fee = _split(liquidation, valuation)
    assets: Mapping[Address, AssetValue] = {} if valuation is None else valuation.assets
    return Taken(
        deployment=deployment,
        ref=liquidation.ref,
        block=scene.block.number,
        block_hash=scene.block.hash,
        tx_hash=liquidation.tx_hash,
        log_index=liquidation.log.index,
        place=scene.receipt.index,
        liquidator=liquidation.liquidator,
        collateral=_asset(liquidation.collateral, assets),
        debt=_asset(liquidation.debt, assets),
        repaid=liquidation.repaid,
        seized=liquidation.seized,
        penalty=penalty,
        protocol_fee=protocol_fee,
        gas=gas,
        cause=cause,
        detail=printable(detail, _DETAIL),
        forecast_net=ours.net,
    )


def cause_of(ours: Ours, scene: Scene) -> tuple[Cause, str]:
    """Return the cause, and the figures behind it."""
    part, since = ours.part, ours.since
    if part is not None and part.target_block is not None:
        out = f"ours was out for block {part.target_block} at a priority fee of {part.priority_fee}"
        return (
            Cause.OUTRUN,
            f"{out} wei, theirs paid {scene.priority_fee} at place {scene.receipt.index}",
        )
    if part is not None and part.status is Status.SIMULATED:
        return Cause.DISARMED, "shown and not sent"
    if ours.away:
        return Cause.DOWN, "in a block that came before the start"
    if ours.left is not None:
        return Cause.LEFT, f"{ours.left.reason}: {ours.left.detail}"
    if since is None:
        return _of_who_fell(ours.looked, scene)
    over = part.status if part is not None and part.status in _OVER else None
    ours_was = f"ours had ended by then: {over}" if over else "nothing was signed yet"
    return Cause.LATE, f"under the line since block {since}, {ours_was}"


def ended_as(ours: Submission, receipt: Receipt) -> Status:
    """Return how a transaction of ours ended, given its receipt."""
    if ours.purpose is Purpose.CANCEL:
        return Status.CANCELLED
    return Status.LANDED if receipt.success else Status.REVERTED


def _of_who_fell(looked: int | None, scene: Scene) -> tuple[Cause, str]:
    """Return the cause where nobody had found it under the line, by when we last looked."""
    before = scene.block.number - 1
    if looked is None or looked < before:
        if looked is None:
            return Cause.UNSEEN, "no account was looked at yet"
        return Cause.UNSEEN, f"all accounts were looked at last at block {looked}"
    moved = f"; the last move: {scene.moved}" if scene.moved else ""
    return Cause.ONE_BLOCK, f"not under the line at block {before}{moved}"


def _split(liquidation: Liquidation, valuation: Valuation | None) -> tuple[int | None, int | None]:
    """Return penalty and protocol fee in wei, by the arithmetic of the books."""
    if valuation is None or not {liquidation.collateral, liquidation.debt} <= set(valuation.assets):
        return None, None
    moved = Settlement(
        liquidations=(liquidation,),
        flash_fee_asset=None,
        flash_fee=0,
        received=0,
        tip=0,
        gas=0,
    )
    split = waterfall(moved, valuation)
    return split.penalty, split.protocol_fee


def _asset(address: Address, assets: Mapping[Address, AssetValue]) -> Asset:
    """Return a token as the market names it; raw units of one that it does not."""
    known = assets.get(address)
    if known is None:
        return Asset(address=address, symbol=address, unit=1)
    return Asset(address=address, symbol=printable(known.symbol), unit=known.unit)
