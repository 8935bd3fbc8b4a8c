"""The deployments of one chain side by side, each in a compartment of its own."""

import asyncio
from collections.abc import Collection, Sequence

from keeper.app.compartment import AnyDeployment, Compartment
from keeper.app.faults import is_broken_promise
from keeper.core.chain import BlockRef, Log, LogFilter, LogHint
from keeper.core.errors import ConfigError, DriftError, KeeperError
from keeper.core.pending import PendingTransaction


class Hull:
    """Hands what the chain tells to every compartment."""

    def __init__(self, compartments: Sequence[Compartment]) -> None:
        """Let each know whether others would go on without it."""
        self.compartments = compartments
        self._newest = -1
        for one in compartments:
            one.others_are_sound = lambda one=one: self._goes_on_without(one)  # type: ignore[misc]

    @property
    def deployments(self) -> list[AnyDeployment]:
        """Return the newest deployment of each."""
        return [one.deployment for one in self.compartments]

    @property
    def acted_on(self) -> int:
        """The newest block that every deployment has dealt with that is not out."""
        sound = [one for one in self.compartments if one.is_sound] or self.compartments
        acted_on = (one.deployment.acting.acted_on for one in sound)
        return min(acted_on, default=self._newest)  # where none is enabled there is nothing to do

    @property
    def price_filter(self) -> LogFilter:
        """The events that move any deployment's prices."""
        wanted = [one.price_filter for one in self.compartments]
        return LogFilter(
            addresses=frozenset().union(*(one.addresses for one in wanted)),
            topics=frozenset().union(*(one.topics for one in wanted)),
        )

    @property
    def samples(self) -> list[bytes]:
        """Return an event for each deployment that has something signed ahead, for drills."""
        return [sample for one in self.compartments if (sample := one.sample) is not None]

    async def start(self, head: BlockRef, flying: Collection[str]) -> None:
        """Fill every mirror; a deployment that cannot be read is left out, if others can.

        One that met a setting or drift is out until a restart; one that met a fault of ours is
        opened anew when the others run. Raises what was wrong when none can be read, and what a
        deployment met that has something in flight (``flying``).
        """
        failed: list[Exception] = []
        for one in self.compartments:
            try:
                await one.start(head)
            except (ConfigError, DriftError) as error:
                if one.deployment.name in flying:
                    raise
                one.deployment.pause(str(error))
                failed.append(error)
            except Exception as error:
                is_nodes = isinstance(error, KeeperError)
                if is_nodes or is_broken_promise(error) or one.deployment.name in flying:
                    raise
                one.take_out(error)
                failed.append(error)
        if failed and not any(one.is_sound for one in self.compartments):
            raise _all_of(failed)

    def void(self) -> None:
        """Answer no price with what was signed ahead at a block that a reorg undid."""
        for one in self.compartments:
            one.deployment.outlook.void()

    def see_head(self, head: BlockRef) -> None:
        """Leave a head for every watcher."""
        self._newest = head.number
        for one in self.compartments:
            one.see_head(head)

    async def see_price(self, event: Log) -> None:
        """Hand a price event to every deployment, none of which waits for what another reads."""
        if len(self.compartments) == 1:
            await self.compartments[0].see_price(event)
        else:
            await asyncio.gather(*(one.see_price(event) for one in self.compartments))

    def hear_price(self, hint: LogHint, at_ns: int) -> None:
        """Hand a price event to every deployment as its bytes come."""
        for one in self.compartments:
            one.hear_price(hint, at_ns)

    def see_pending(self, transaction: PendingTransaction) -> None:
        """Hand a transaction that may move a price to every deployment."""
        for one in self.compartments:
            one.see_pending(transaction)

    def close(self) -> None:
        """Begin nothing more."""
        for one in self.compartments:
            one.close()

    async def checkpoint(self) -> None:
        """Leave what is sound for the next start."""
        for one in self.compartments:
            await one.checkpoint()

    def _goes_on_without(self, failed: Compartment) -> bool:
        return any(one.is_sound for one in self.compartments if one is not failed)


def _all_of(failed: Sequence[Exception]) -> Exception:
    """Return what ends a chain of which nothing can be read; a fault of ours is the gravest."""
    ours = [one for one in failed if not isinstance(one, KeeperError)]
    return ours[0] if ours else ConfigError("\n".join(map(str, failed)))
