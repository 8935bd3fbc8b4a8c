"""Look at every node of a pool: is it on our chain, does it agree with it, does it keep up?"""

import asyncio
from collections.abc import Mapping, Sequence

from msgspec import Struct

from keeper.chain.data_fees import Rollup
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
_LONGEST_PEACE_S = 600.0
"""How long to leave it alone at most, whatever it says: a wrong number is no exclusion."""
_REMEMBERED = 512
_UNFOLLOWED_S = 10.0
"""How long a node may tell of a block that no other has: news of one travels in far less."""


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
    gone_s: float = 300.0
    """For how long a node may not be asked before that is told; KeeperNodeUnfit waits as long."""
    recover_s: float = 30.0
    """How long an earlier node must be fit before it is taken again."""
    rollup: Rollup | None = None
    """What kind of rollup the chain is, which its base fee follows from."""


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
        """Look at every node that may ever be used again.

        The active one need not agree with what is known, for it is from there; only with a quorum.
        """
        height = self._height()
        asked = [one for one in self._members if not one.excluded]
        sights = await asyncio.gather(*(self._sight(one, height) for one in asked))
        told = [(one, sight) for one, sight in zip(asked, sights, strict=True) if sight is not None]
        heads = {one: sight.head.number for one, sight in told}
        self._vote(told)
        self._weigh_claims(heads)
        self._step_back([head for one, head in heads.items() if not one.unfollowed])
        self._weigh_pushes([sight for _, sight in told])
        if active.outvoted:
            self._known = {}
        for one, sight in told:
            self._judge(one, self._fault(one, sight, None if one is active else height))
        self._miss()
        is_doubted = active.excluded or active.outvoted or active.unfollowed
        if active.head is not None and not is_doubted:
            self._remember(active.head)

    async def inspect(self, member: Member) -> bool:
        """Look at one node that is to be the active one; tell whether it may be used."""
        height = self._height()
        sight = await self._sight(member, height)
        if sight is None:
            return False
        self._judge(member, self._fault(member, sight, height))
        return not member.unfit

    async def _sight(self, member: Member, height: int | None) -> Sight | None:
        """Return what a node says of itself; None, and the reason is noted, where it is no use."""
        if member.excluded or self._clock.monotonic() < member.limited_until:
            return None
        try:
            sight = await look_at(
                member.transport,
                height,
                chain_id=self._options.chain_id,
                rollup=self._options.rollup,
                timeout_s=self._options.patience_s,
            )
        except OtherChainError as e:
            self._exclude(member, str(e))
            return None
        except TransientError as e:
            self.failed(member, e)
            if not isinstance(e, RateLimitedError):
                self._judge(member, str(e))
            return None
        member.head, member.told_at = sight.head, self._clock.monotonic()
        member.answered()
        return sight

    def _vote(self, told: Sequence[tuple[Member, Sight]]) -> None:
        """Note who tells the block that all were asked for otherwise than a quorum that is most.

        Also of the active node: what is known is its word, and nobody must agree with that then.
        """
        blocks = {one: sight.at_height for one, sight in told if sight.at_height is not None}
        agreed = self._agreed(list(blocks.values()))
        if agreed is None:
            return
        self._known.pop(agreed.number, None)
        for member, block in blocks.items():
            unlike = agreed.unlike(block)
            member.outvoted = f"block {agreed.number}: {unlike}" if unlike else ""

    def _agreed(self, voices: Sequence[BlockRef]) -> BlockRef | None:
        """Return the block that most tell alike, and a quorum; None without one."""
        least = max(self._options.quorum, len(voices) // 2 + 1)
        agreed = next((one for one in voices if voices.count(one) >= least), None)
        return None if self._options.quorum == 1 else agreed

    def _weigh_pushes(self, sights: Sequence[Sight]) -> None:
        """Note who pushed otherwise than what a quorum answers, and tell when that is news."""
        blocks = [one.at_height for one in sights if one.at_height is not None]
        both = (self._agreed(blocks), self._agreed([one.head for one in sights]))
        agreed = [one for one in both if one is not None]
        for member in self._members if agreed else ():
            before = member.pushed.doubt
            member.pushed.judge(agreed, self._newest(), self._clock.monotonic())
            if member.pushed.doubt != before:
                trouble = Trouble.RESUMED if before else Trouble.UNFIT
                said = member.pushed.doubt or "may push again"
                self._report(trouble, f"{member.name}: {said}")

    def _weigh_claims(self, heads: Mapping[Member, int]) -> None:
        """Note who has long told of a block that no quorum would agree on, for others lack it.

        Only where there are enough of those: they must not stop without the one that is ahead.
        """
        quorum, now = self._options.quorum, self._clock.monotonic()
        for member, head in heads.items() if quorum > 1 else ():
            others = sorted((heads[one] for one in heads if one is not member), reverse=True)
            member.unfollowed = ""
            reached = others[quorum - 2] if len(others) >= quorum else head
            kept_up = sum(reached - one <= self._options.max_lag_blocks for one in others)
            if reached >= head or kept_up < quorum:
                member.claim = None
                continue
            if member.claim is None or reached >= member.claim[0]:
                member.claim = (head, now)
            claimed, since = member.claim
            if now - since > _UNFOLLOWED_S:
                member.unfollowed = f"block {claimed}: found no other node beyond block {reached}"

    def _step_back(self, heads: Sequence[int]) -> None:
        """Follow a chain that became shorter: none of these heads is at what was reached."""
        quorum = self._options.quorum
        if 1 < quorum <= len(heads) and max(heads) < self._reached:
            self._reached = sorted(heads, reverse=True)[quorum - 1]

    def failed(self, member: Member, error: TransientError) -> None:
        """Note that a node did not answer, or wants peace."""
        if isinstance(error, RateLimitedError):
            self.limited(member, error.retry_after_s)
        else:
            member.failed(self._clock.monotonic())

    def limited(self, member: Member, wish_s: float | None) -> None:
        """Leave a node alone for as long as it wants, within bounds."""
        wait_s = _PEACE_S if wish_s is None else min(wish_s, _LONGEST_PEACE_S)
        member.limited_until = self._clock.monotonic() + wait_s
        self._report(Trouble.LIMITED, f"{member.name}: no request for {wait_s:g} s")

    def _fault(self, member: Member, sight: Sight, height: int | None) -> str:
        """Return what is wrong with a node by what it says, empty when nothing."""
        newest = self._newest()
        behind = newest - sight.head.number
        if behind > self._options.max_lag_blocks:
            return f"{behind} blocks behind block {newest}"
        known = None if height is None else self._known.get(height)
        doubt = member.outvoted or member.unfollowed
        if doubt or known is None or sight.head.number < (height or 0):
            return doubt
        told = "no block" if sight.at_height is None else sight.at_height.hash
        return "" if told == known else f"block {height}: expected {known}, found {told}"

    def _newest(self) -> int:
        """Return the newest block that enough nodes came to: one alone may claim any.

        Of one that does not answer any more it is forgotten soon, lest it keep the others out.
        """
        quorum, since = self._options.quorum, self._clock.monotonic() - _UNFOLLOWED_S
        heads = [
            one.head.number
            for one in self._members
            if one.head and not one.excluded and (quorum > 1 or one.told_at >= since)
        ]
        if quorum == 1:
            return max(heads, default=0)
        if len(heads) >= quorum:
            self._reached = max(self._reached, sorted(heads, reverse=True)[quorum - 1])
        return self._reached

    def _exclude(self, member: Member, why: str) -> None:
        member.excluded, member.is_missed = why, True
        member.fit_since = None
        said = f"{member.name}: {why}; it is not used again"
        self._report(Trouble.EXCLUDED, said, member.name)

    def _miss(self) -> None:
        """Tell of each node that could not be asked for long, and when it can be again."""
        now = self._clock.monotonic()
        for member in self._members:
            if member.usable(now):
                if member.is_missed:
                    self._report(Trouble.BACK, f"{member.name}: may be asked", member.name)
                member.gone_since, member.is_missed = None, False
            elif member.gone_since is None:
                member.gone_since = now
            elif not member.is_missed and now - member.gone_since >= self._options.gone_s:
                said = f"{member.name}: {member.trouble(now).removeprefix(f'{member.name}: ')}"
                member.is_missed = True
                self._report(Trouble.GONE, said, member.name)

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
        if self._options.quorum > 1:
            newest = deepest = self._reached - self._options.agree_depth
        else:
            newest = next(reversed(self._known), 0) - self._options.agree_depth
            deepest = next(iter(self._known), 0)
        return max((one for one in self._known if one <= newest), default=max(deepest, 0)) or None

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
