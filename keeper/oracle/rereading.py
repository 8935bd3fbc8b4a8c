"""Feeds whose price an event does not tell: they are asked, perhaps as soon as it is heard of."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keeper.core.chain import BlockRef, CallResult
from keeper.core.lending import Feed
from keeper.core.ports import Reader
from keeper.core.units import Hash32
from keeper.evm.words import WORD, signed_at
from keeper.runtime.begun import begun


class _Begun(NamedTuple):
    feeds: Sequence[Feed]
    block: Hash32
    answers: asyncio.Future[list[CallResult]]


class Rereading:
    """Reads feeds at a block."""

    def __init__(self, reader: Reader) -> None:
        """Begin nothing yet."""
        self._reader = reader
        self._begun: _Begun | None = None

    def begin(self, feeds: Sequence[Feed], block: BlockRef) -> None:
        """Ask for feeds at ``block`` in case that ``at`` will."""
        self._begun = None
        if feeds:
            self._begun = _Begun(feeds, block.hash, begun(self._ask(feeds, block)))

    async def at(self, feeds: Sequence[Feed], block: BlockRef) -> Mapping[str, int | None]:
        """Return what each feed says at ``block``, None of one that answers with no word.

        Raises as the reader.
        """
        begun, self._begun = self._begun, None
        is_same = begun is not None and (begun.feeds, begun.block) == (feeds, block.hash)
        answers = await (begun.answers if begun and is_same else self._ask(feeds, block))
        return {one.id: said_by(answer) for one, answer in zip(feeds, answers, strict=True)}

    async def _ask(self, feeds: Sequence[Feed], block: BlockRef) -> list[CallResult]:
        return await self._reader.call_many([one.read for one in feeds], block)


def said_by(answer: CallResult) -> int | None:
    """Return the word that a feed's read gives, None when it is not one."""
    return signed_at(answer.data, 0) if answer.success and len(answer.data) == WORD else None
