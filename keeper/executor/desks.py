"""Several signers side by side: who sends what, each with nonces and a balance floor of its own."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from keeper.core.errors import KeeperError, RefusedError, StaleError, TransientError
from keeper.core.plan import Intent, Outcome, Plan, Status, Submission
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.policy import Exposure, worst_gas
from keeper.executor.signing import SigningDesk

_Word = list[Submission] | RefusedError | StaleError | TransientError
"""What a desk signed, or why it did not."""


class Signed(Struct, frozen=True, kw_only=True):
    """What became of plans that were to be signed, each in one of the two."""

    pairs: tuple[tuple[Plan, Submission], ...]
    """In the order of the plans."""
    refused: tuple[tuple[Plan, str], ...]
    """With why: those of a signer that would not, all of them; no nonce of it is used."""


class Desks:
    """The signing desks of a chain. Budgets are of all together; nonces are each desk's own."""

    def __init__(
        self,
        desks: Sequence[SigningDesk],
        on_settled: Callable[[Intent, Outcome], None] = lambda *_: None,
    ) -> None:
        """Take at least one; ``on_settled`` hears of what was signed here and then refused."""
        self.on_settled = on_settled
        self._desks: Mapping[Address, SigningDesk] = {one.address: one for one in desks}
        self.first = desks[0]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whose transactions these are."""
        return tuple(self._desks)

    @property
    def are_instant(self) -> bool:
        """Return whether every key is in this process."""
        return all(one.is_instant for one in self._desks.values())

    def ask_chain(self, senders: Collection[Address]) -> None:
        """Begin to ask for the chain id that each of the senders' next signing waits for."""
        for one in senders:
            self._desks[one].ask_chain()

    async def count(self, flight: Flight) -> None:
        """Have each next nonce known: what is signed while it is rehearsed asks nobody for it."""
        for desk in self._desks.values():
            await desk.nonces.take(1, flight.held(desk.address))

    def of(self, sender: Address) -> SigningDesk:
        """Return the desk of a sender."""
        return self._desks[sender]

    def settled(self, intent: Intent, outcome: Outcome) -> None:
        """Hear of an outcome: what was dropped may have left its nonce free, below the next one."""
        newest = intent.submission
        desk = None if newest is None else self._desks.get(newest.sender)
        if newest is not None and desk is not None and outcome.status is Status.DROPPED:
            desk.nonces.given_up(newest.nonce)

    def spread(
        self, plans: Sequence[Plan], flight: Flight, exposure: Exposure, floor: int
    ) -> list[Plan]:
        """Return the plans with their senders: each the one with the fewest in flight.

        Before those whose own missed its block; those that would fall under ``floor``, wei, come
        last: policy then says so.
        """
        if len(self._desks) == 1:
            return list(plans)
        load = {one: len(flight.held(one)) for one in self._desks}
        left = {one: exposure.left(one) - floor for one in self._desks}
        found: list[Plan] = []
        for plan in plans:
            worst = worst_gas(plan)
            sender = min(
                load, key=lambda one: (left[one] < worst, one in exposure.held_up, load[one])
            )
            load[sender] += 1
            left[sender] -= worst
            found.append(replace(plan, transaction=replace(plan.transaction, sender=sender)))
        return found

    async def sign(
        self, plans: Sequence[Plan], flight: Flight, *, target_block: int, lane: str
    ) -> Signed:
        """Sign each plan at its sender's desk, in order. A desk that does not spoils no other.

        Raises TransientError when none signed and one did not answer, StaleError when nodes did not
        agree on a nonce: that may be tried again.
        """
        made: dict[str, Submission] = {}
        refused: list[tuple[Plan, str]] = []
        silent: TransientError | StaleError | None = None
        for own, found in await self._signed(plans, flight, target_block, lane):
            if isinstance(found, KeeperError):
                silent = silent if isinstance(found, RefusedError) else found
                refused += [(plan, str(found)) for plan in own]
                continue
            made |= {one.plan_id: one for one in found}
        if silent is not None and not made:
            raise silent
        pairs = tuple((plan, made[plan.id]) for plan in plans if plan.id in made)
        return Signed(pairs=pairs, refused=tuple(refused))

    async def _signed(
        self, plans: Sequence[Plan], flight: Flight, target_block: int, lane: str
    ) -> list[tuple[Sequence[Plan], _Word]]:
        """Return what each desk says to its plans; keys elsewhere are waited for all at once."""
        shares = [
            (desk, [plan for plan in plans if plan.transaction.sender == sender])
            for sender, desk in self._desks.items()
        ]
        asked = [(desk, own) for desk, own in shares if own]

        async def word(desk: SigningDesk, own: Sequence[Plan]) -> tuple[Sequence[Plan], _Word]:
            held = flight.held(desk.address)
            try:
                return own, await desk.sign(own, held=held, target_block=target_block, lane=lane)
            except (RefusedError, StaleError, TransientError) as error:
                return own, error

        if self.are_instant:
            return [await word(*one) for one in asked]
        return await asyncio.gather(*(word(*one) for one in asked))
