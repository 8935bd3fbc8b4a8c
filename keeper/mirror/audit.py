"""Hold the mirror against the chain: a rotating sample, and whoever is about to be acted on.

Both sides are of the same block, so any difference is a fault: of the mirror, of the rules, of a
price or of the node. It cannot be told which from here, so nothing is done on that market until a
person has looked.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import DriftError, StaleError
from keeper.core.lending import AccountRef
from keeper.core.parity import Sides
from keeper.core.ports import Prices, ProtocolAdapter, Reader
from keeper.mirror.snapshot import Snapshot

M = TypeVar("M")
P = TypeVar("P")

_WORD = 32
_MODULUS = 2**256
_MOST_DOUBTED = 2

OWES = "owes"
"""The figure compared of an account that the mirror has no debt of: 1 when it owes."""


class Ground(Struct, Generic[M, P], frozen=True, kw_only=True):
    """A mirror and the prices of its own block."""

    snapshot: Snapshot[M, P]
    prices: Prices

    @property
    def block(self) -> BlockRef:
        """Return the block that all of it is of."""
        return self.snapshot.block


class AccountsDriftedError(DriftError):
    """The mirror and the chain disagree about accounts at the same block."""

    def __init__(self, block: BlockRef, drifted: Mapping[AccountRef, Sides]) -> None:
        """Keep both sides of each account."""
        ref, sides = next(iter(drifted.items()))
        more = f", and {len(drifted) - 1} more" if len(drifted) > 1 else ""
        super().__init__(
            f"expected the mirror to be the chain at block {block.number}, found account "
            f"{ref.account} with {sides}{more}"
        )
        self.block = block
        self.drifted = drifted

    @property
    def markets(self) -> frozenset[str]:
        """Return the markets that the accounts are in."""
        return frozenset(ref.market for ref in self.drifted)


class ParityAudit(Generic[M, P]):
    """Compares accounts of one deployment with the chain."""

    def __init__(self, adapter: ProtocolAdapter[M, P], reader: Reader, *, sample: int) -> None:
        """Take ``sample`` accounts at each look, so that in time everyone has their turn."""
        self._adapter = adapter
        self._reader = reader
        self._size = sample
        self._turn: Iterator[AccountRef] = iter(())
        self._due: list[AccountRef] = []
        """Those of the turn who were not compared yet: the chain could not be asked for them."""
        self._sound: tuple[BlockRef | None, set[AccountRef]] = (None, set())
        self._doubted: dict[AccountRef, frozenset[BlockRef]] = {}
        """Blocks in a row at which an account was apart and the node told two prices."""
        self._seen: tuple[Ground[M, P], M] | None = None
        """A ground, and its market's view."""

    def take(self, ground: Ground[M, P]) -> None:
        """Prepare to compare accounts of a ground."""
        self._view(ground)

    async def check_sample(
        self, ground: Ground[M, P], known: Collection[AccountRef]
    ) -> Sequence[AccountRef]:
        """Compare the next of the ``known`` accounts, with debt or without; return which.

        Raises AccountsDriftedError when one differs.
        """
        self._due = self._due or list(islice(self._turn, self._size))
        if not self._due:
            self._turn = iter(known)
            self._due = list(islice(self._turn, self._size))
        try:
            await self.check(ground, self._due)
        except AccountsDriftedError:
            self._due = []
            raise
        chosen, self._due = self._due, []
        return chosen

    async def check(self, ground: Ground[M, P], refs: Iterable[AccountRef]) -> None:
        """Compare accounts with the chain at the ground's block.

        An account that was compared at this block is not asked for again. Raises
        AccountsDriftedError when one differs, StaleError when the node is unsure.
        """
        sound = self._sound[1] if self._sound[0] == ground.block else set[AccountRef]()
        asked = [ref for ref in dict.fromkeys(refs) if ref not in sound]
        apart = await self._apart(ground, asked)
        if apart:
            await self._look_again(ground, apart)
        for ref in asked:
            self._doubted.pop(ref, None)
        self._sound = (ground.block, sound | set(asked))

    async def _look_again(self, ground: Ground[M, P], apart: Mapping[AccountRef, Sides]) -> None:
        """Raise AccountsDriftedError if accounts stay apart when asked for once more.

        Both looks are pinned to one block, so a chain that answers the second time otherwise has
        not drifted: its node is unsure, and StaleError leaves the block to the next.
        """
        drifted = await self._apart(ground, list(apart))
        if drifted:
            await self._doubt_prices(ground, drifted.keys())
            raise AccountsDriftedError(ground.block, drifted)
        ref, sides = next(iter(apart.items()))
        msg = (
            f"block {ground.block.number}: expected one answer, found the node unsure of "
            f"{len(apart)} accounts, {ref.account} with {sides} at first"
        )
        raise StaleError(msg)

    async def _doubt_prices(self, ground: Ground[M, P], apart: Collection[AccountRef]) -> None:
        """Raise StaleError when the node now tells another price of the ground's own block.

        A node may answer for a block that it is just making. Prices are read anew with each head,
        so such a block is left to the next; ``_MOST_DOUBTED`` of them in a row for one account are
        no accident, and the next one counts as drift.
        """
        feeds = self._adapter.feeds(ground.snapshot.market)
        calls = [feed.read for feed in feeds]
        answers = await self._reader.call_many(calls, ground.block) if calls else []
        told = [
            feed.label
            for feed, answer in zip(feeds, answers, strict=True)
            if (price := ground.prices.get(feed.id)) is not None
            and answer.success
            and answer.data[:_WORD] != (price.value % _MODULUS).to_bytes(_WORD)
        ]
        doubted = {r: self._doubted.get(r, frozenset()) | {ground.block} for r in apart}
        if told and max(map(len, doubted.values())) <= _MOST_DOUBTED:
            self._doubted |= doubted
            msg = f"block {ground.block.number}: expected one answer, found two for {told[0]}"
            raise StaleError(msg)

    async def _apart(
        self, ground: Ground[M, P], refs: Sequence[AccountRef]
    ) -> dict[AccountRef, Sides]:
        """Return the accounts that the mirror and the chain see differently."""
        sides = {**await self._owing(ground, refs), **await self._idle(ground, refs)}
        return {ref: one for ref, one in sides.items() if not one.agree}

    async def _owing(
        self, ground: Ground[M, P], refs: Sequence[AccountRef]
    ) -> Mapping[AccountRef, Sides]:
        """Return both sides of the accounts that the mirror has a debt of."""
        held = ground.snapshot.positions
        positions = {ref: held[ref] for ref in refs if ref in held}
        if not positions:
            return {}
        return await self._adapter.audit(self._reader, ground.block, self._view(ground), positions)

    def _view(self, ground: Ground[M, P]) -> M:
        """Return the market at the ground's own time and prices."""
        if self._seen is None or self._seen[0] is not ground:
            market, block = ground.snapshot.market, ground.block
            view = self._adapter.at(
                market, block=block.number, timestamp=block.timestamp, prices=ground.prices
            )
            self._seen = ground, view
        return self._seen[1]

    async def _idle(
        self, ground: Ground[M, P], refs: Sequence[AccountRef]
    ) -> dict[AccountRef, Sides]:
        """Return both sides of the accounts that the mirror has no debt of."""
        idle = [ref for ref in refs if ref not in ground.snapshot.positions]
        if not idle:
            return {}
        market = ground.snapshot.market
        read = await self._adapter.read_positions(self._reader, ground.block, market, idle)
        return {
            ref: Sides(
                mirror={OWES: 0}, chain={OWES: int(self._adapter.has_debt(market, read[ref]))}
            )
            for ref in idle
        }
