"""Look at every node of a pool: is it on our chain, does it agree with it, does it keep up?"""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from keeper.chain.errors import RateLimitedError
from keeper.chain.identity import OtherChainError, Sight, look_at
from keeper.chain.member import Member
from keeper.chain.trouble import Report, Trouble
from keeper.core.chain import BlockRef
from keeper.core.errors import TransientError
from keeper.core.units import Hash32
from keeper.runtime.clock import Clock

_PEACE_S = 5.0
"""How long to leave a node alone that limits requests without saying for how long."""
_REMEMBERED = 512


class PoolOptions(Struct, frozen=True, kw_only=True):
    """How to judge the nodes of a chain."""

    chain_id: int
    max_lag_blocks: int = 3
    """A node that is further behind the others is not used."""
    quorum: int = 1
    """Where so many nodes must agree, so many must have come to a block that others are behind."""
    agree_depth: int = 2
    """Blocks below the newest known one at which a node must have the known hash."""
    watch_s: float = 2.0
    """How often to look at every node."""
    patience_s: float = 3.0
    """How long to wait for one node while there is another to ask."""
    recover_s: float = 30.0
    """How long an earlier node must be fit before it is taken again."""


class Watch:
    """Judges the members of a pool, and remembers the chain of the active one."""

    def __init__(
        self, members: Sequence[Member], *, options: PoolOptions, clock: Clock, report: Report
    ) -> None:
        self._members = members
        self._options = options
        self._clock = clock
        self._report = report
        self._known: dict[int, Hash32] = {}
        """Blocks of the active node, oldest first."""
        self._reached = 0
        """The newest block that a quorum came to."""

    async def look(self, active: Member) -> None:
        """Look at every node that may ever be used again."""
        await asyncio.gather(
            *(self.inspect(one, trusted=one is active) for one in self._members if not one.excluded)
        )
        if active.head is not None and not active.excluded:
            self._remember(active.head)

    async def inspect(self, member: Member, *, trusted: bool = False) -> bool:
        """Look at one node and note what is wrong; tell whether it may be used.

        The node that is ``trusted`` need not agree with what is known: it is from there.
        """
        now = self._clock.monotonic()
        if member.excluded or now < member.limited_until:
            return False
        height = self._height()
        try:
            sight = await look_at(
                member.transport,
                height,
                chain_id=self._options.chain_id,
                timeout_s=self._options.patience_s,
            )
        except OtherChainError as e:
            self._exclude(member, str(e))
            return False
        except TransientError as e:
            self.failed(member, e)
            if not isinstance(e, RateLimitedError):
                self._judge(member, str(e))
            return False
        member.head = sight.head
        member.answered()
        self._judge(member, self._fault(sight, None if trusted else height))
        return not member.unfit

    def failed(self, member: Member, error: TransientError) -> None:
        """Note that a node did not answer, or wants peace."""
        if isinstance(error, RateLimitedError):
            self.limited(member, error.retry_after_s)
        else:
            member.failed(self._clock.monotonic())

    def limited(self, member: Member, wish_s: float | None) -> None:
        """Leave a node alone for as long as it wants."""
        wait_s = _PEACE_S if wish_s is None else wish_s
        member.limited_until = self._clock.monotonic() + wait_s
        self._report(Trouble.LIMITED, f"{member.name}: no request for {wait_s:g} s")

    def _fault(self, sight: Sight, height: int | None) -> str:
        """Return what is wrong with a node by what it says, empty when nothing."""
        newest = self._newest()
        behind = newest - sight.head.number
        if behind > self._options.max_lag_blocks:
            return f"{behind} blocks behind block {newest}"
        if height is None or sight.at_height == self._known.get(height):
            return ""
        found = sight.at_height or "no block"
        return f"block {height}: expected {self._known.get(height)}, found {found}"

    def _newest(self) -> int:
        """Return the newest block that enough nodes came to: one alone may claim any."""
        heads = [one.head.number for one in self._members if one.head and not one.excluded]
        quorum = self._options.quorum
        if quorum == 1:
            return max([*heads, next(reversed(self._known), 0)])
        if len(heads) >= quorum:
            self._reached = max(self._reached, sorted(heads, reverse=True)[quorum - 1])
        return self._reached

    def _exclude(self, member: Member, why: str) -> None:
        member.excluded = why
        member.fit_since = None
        self._report(Trouble.EXCLUDED, f"{member.name}: {why}; it is not used again")

    def _judge(self, member: Member, unfit: str) -> None:
        """Set what is wrong with a node; tell of it when that is news."""
        if bool(unfit) != bool(member.unfit):
            trouble = Trouble.UNFIT if unfit else Trouble.RESUMED
            said = unfit.removeprefix(f"{member.name}: ") or "fit again"
            self._report(trouble, f"{member.name}: {said}")
        member.unfit = unfit
        if unfit:
            member.fit_since = None
        elif member.fit_since is None:
            member.fit_since = self._clock.monotonic()

    def _height(self) -> int | None:
        """Return the height at which nodes must agree, None while nothing is known."""
        deepest = next(iter(self._known), None)
        newest = next(reversed(self._known), 0) - self._options.agree_depth
        return max((one for one in self._known if one <= newest), default=deepest)

    def _remember(self, head: BlockRef) -> None:
        """Add the active node's head; what it contradicts is forgotten."""
        parent = head.number - 1
        if self._known.get(parent, head.parent_hash) != head.parent_hash:
            self._known = {}
        for number in [one for one in self._known if one >= head.number]:
            del self._known[number]
        self._known |= {parent: head.parent_hash, head.number: head.hash}
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
