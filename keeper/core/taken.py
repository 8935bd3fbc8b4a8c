"""Liquidations that somebody else carried out, and why they were not ours."""

from enum import StrEnum

from msgspec import Struct

from keeper.core.lending import AccountRef
from keeper.core.plan import Status, Submission
from keeper.core.units import Address, Hash32


class Cause(StrEnum):
    """Why somebody else was there instead of us. One word for one cause."""

    OUTRUN = "outrun"
    """Ours was out, and theirs was included first."""
    DISARMED = "disarmed"
    """We would have sent ours."""
    LEFT = "left"
    """We had seen it and left it alone, for a reason."""
    ONE_BLOCK = "one_block"
    """It came under the line and was taken within one block: only who runs right behind the cause
    of it, or signed ahead, is there in time."""
    UNSEEN = "unseen"
    """We had not looked at the block before: since when it was under the line is not known."""
    LATE = "late"
    """We had seen it under the line, and nothing had come of that yet."""
    DOWN = "down"
    """The keeper was not running."""


class Asset(Struct, frozen=True, kw_only=True):
    """A token as people read it."""

    address: Address
    symbol: str
    unit: int
    """``10**decimals``."""


class OurPart(Struct, frozen=True, kw_only=True):
    """Our newest intent of an account that somebody else liquidated."""

    status: Status
    net: int
    """What we expected it to net, wei."""
    target_block: int | None
    """None when it was never signed, the lane refused it, or it had ended before theirs."""
    priority_fee: int | None
    """Wei per gas."""
    attempts: tuple[Submission, ...] = ()
    """Of what was out: one of them may have landed before theirs, and not be in the books yet."""


class Shown(Struct, frozen=True, kw_only=True):
    """A plan of an account that was shown and not sent."""

    head: int
    """The number of the block that it was made at."""
    net: int
    """What we expected it to net, wei."""

    @property
    def part(self) -> OurPart:
        """Return it as our part in what somebody else took."""
        return OurPart(status=Status.SIMULATED, net=self.net, target_block=None, priority_fee=None)


class Taken(Struct, frozen=True, kw_only=True):
    """One liquidation by somebody else. ``repaid`` and ``seized`` are raw units."""

    deployment: str
    ref: AccountRef
    block: int
    block_hash: Hash32
    tx_hash: Hash32
    log_index: int
    place: int
    """Of the transaction in its block, from 0."""
    liquidator: Address
    """As the protocol's event names it: maybe a contract that many go through."""
    collateral: Asset
    debt: Asset
    repaid: int
    seized: int
    """Of what was kept as receipts, at the block's rate; the newest where that cannot be read."""
    penalty: int | None
    """What the borrower lost, wei at the prices of the block; None where nobody can say."""
    protocol_fee: int | None
    """The protocol's part of it, wei."""
    gas: int
    """What the gas cost them, wei; of several liquidations in one transaction its part."""
    cause: Cause
    detail: str
    forecast_net: int | None
    """What we had expected to net, wei, where we had reckoned."""

    @property
    def bonus(self) -> int | None:
        """Return what was left for the liquidator before swaps and gas, wei."""
        if self.penalty is None or self.protocol_fee is None:
            return None
        return self.penalty - self.protocol_fee
