"""Where a stream subscribes: at the node that is asked too, or at another after a loss."""

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.chain.member import Member
from keeper.chain.pool import Pool
from keeper.chain.sockets import Connect
from keeper.chain.subscriptions import Subscriptions
from keeper.core.chain import BlockRef
from keeper.core.errors import TransientError
from keeper.runtime.clock import Clock

_RECENT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PushEndpoint:
    """Where subscriptions are made, each stream on a socket of its own."""

    name: str
    connect: Connect
    timeout_s: float
    member: Member | None = None
    """The node of the pool that it belongs to."""

    @property
    def doubt(self) -> str:
        """Why nothing that its node tells is taken, empty when it is."""
        return "" if self.member is None else self.member.doubt or self.member.pushed.doubt

    def open(self) -> Subscriptions:
        """Return subscriptions on a socket that opens with the first one."""
        return Subscriptions(self.name, self.connect, timeout_s=self.timeout_s)


class Rotation:
    """Chooses the endpoint of one stream each time that it connects."""

    def __init__(self, endpoints: Sequence[PushEndpoint], pool: Pool | None, clock: Clock) -> None:
        self._endpoints = endpoints
        self._pool = pool
        self._clock = clock
        self._opened: dict[str, float] = {}
        self._current: tuple[PushEndpoint, Subscriptions] | None = None
        if pool is not None:
            pool.on_switch(self._follow)
            pool.on_look(self._leave)

    def open(self) -> Subscriptions:
        """Return subscriptions at the best node, or at the next when that was tried just now.

        Raises TransientError when no node that pushes is fit.
        """
        now = self._clock.monotonic()
        recent = {name: at for name, at in self._opened.items() if now - at < _RECENT_S}
        fit = [one for one in self._in_order() if not one.doubt]
        if not fit:
            found = "; ".join(f"{one.name}: {one.doubt}" for one in self._endpoints)
            raise TransientError(f"push: expected a node that is fit, found none ({found})")
        chosen = min(fit, key=lambda one: recent.get(one.name, float("-inf")))
        self._opened[chosen.name] = now
        opened = chosen.open()
        self._current = (chosen, opened)
        return opened

    def pushed(self, head: BlockRef) -> None:
        """Hear of a head from the endpoint that was opened last."""
        if self._current is not None and (member := self._current[0].member) is not None:
            member.pushed.take(head)

    def _in_order(self) -> list[PushEndpoint]:
        """Return the endpoints of nodes that are fit, the active one's first, then the others."""
        fit = self._pool.fit() if self._pool is not None else []
        rank = {member: place for place, member in enumerate(fit)}
        last = len(rank)
        return sorted(
            self._endpoints, key=lambda one: rank.get(one.member, last) if one.member else last
        )

    def _follow(self) -> None:
        """Leave a node that is not asked any more, for one that is and that can push."""
        if self._current is None:
            return
        endpoint, subscriptions = self._current
        best = self._in_order()[0]
        if best is not endpoint:
            self._opened.pop(best.name, None)
            subscriptions.end(f"{best.name} took over")

    def _leave(self) -> None:
        """Leave a node that was found unfit: what it pushes is worth no more than its answers."""
        if self._current is not None and (doubt := self._current[0].doubt):
            self._current[1].end(doubt)
