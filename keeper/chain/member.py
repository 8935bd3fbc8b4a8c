"""One node of several: what is known of its health."""

from dataclasses import dataclass, field

from msgspec import Struct

from keeper.chain.pushed import Pushed
from keeper.chain.transport import Transport
from keeper.core.chain import BlockRef

_FIRST_REST_S = 1.0
_LONGEST_REST_S = 30.0


class NodeState(Struct, frozen=True, kw_only=True):
    """What is known of a node's health, for showing."""

    name: str
    is_active: bool
    """It is the one that is asked first."""
    block: int | None
    """The newest that it told of."""
    trouble: str
    """Why others are asked instead, empty when it may be asked."""


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """A node of a pool. Times are of the pool's steady clock."""

    transport: Transport
    head: BlockRef | None = None
    """The newest block that it told of."""
    told_at: float = 0.0
    """When it did."""
    excluded: str = ""
    """Why it is never used again in this run, empty when it may be."""
    unfit: str = ""
    """What the last look at it found wrong, empty when nothing."""
    outvoted: str = ""
    """What enough nodes told otherwise when all were asked last, empty when nothing."""
    claim: tuple[int, float] | None = None
    """The first block that it told of and enough others have not come to yet, and when it did."""
    unfollowed: str = ""
    """What it claimed so long ago that others would have come to it, empty when nothing."""
    pushed: Pushed = field(default_factory=Pushed)
    """The heads that it pushed: they may be taken of another while it is asked."""
    limited_until: float = 0.0
    """Its own wish: before that it is asked for nothing."""
    resting_until: float = 0.0
    """It failed: before that others are asked first."""
    gone_since: float | None = None
    """Since when each look at it found that it may not be asked."""
    is_missed: bool = False
    """That it is gone was told."""
    fit_since: float | None = None
    """Since when each look at it found nothing wrong."""
    rest_s: float = 0.0

    @property
    def name(self) -> str:
        """Return what it may be called in messages."""
        return self.transport.name

    @property
    def doubt(self) -> str:
        """Why nothing that it tells is taken, empty when it is."""
        return self.excluded or self.unfit

    def usable(self, now: float) -> bool:
        """Tell whether it may be asked at all."""
        return not self.doubt and now >= self.limited_until

    def answered(self) -> None:
        """Remember that it works."""
        self.rest_s = 0.0
        self.resting_until = 0.0

    def failed(self, now: float) -> None:
        """Ask others first for a while, twice as long as the last time."""
        self.rest_s = min(max(self.rest_s * 2, _FIRST_REST_S), _LONGEST_REST_S)
        self.resting_until = now + self.rest_s
        self.fit_since = None

    def trouble(self, now: float) -> str:
        """Return why it is not used, in words."""
        if self.doubt:
            return self.doubt
        if now < self.limited_until:
            return f"wants no request for {self.limited_until - now:.1f} s"
        return "did not answer" if now < self.resting_until else ""

    def state(self, now: float, *, is_active: bool) -> NodeState:
        """Return what is to be shown of it."""
        return NodeState(
            name=self.name,
            is_active=is_active,
            block=None if self.head is None else self.head.number,
            trouble=self.trouble(now),
        )
