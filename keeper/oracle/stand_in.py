"""A feed that answers what we say: code to rehearse with, at a price that no block has yet.

Rehearsals put it in the place of a Chainlink proxy. It answers ``latestAnswer``,
``latestRoundData`` and ``decimals``, and reverts on everything else: a protocol that asks for more
makes the rehearsal fail, and nothing is signed.
"""

from collections.abc import Iterable
from typing import Final

from keeper.core.chain import BlockRef, Call, StateOverride
from keeper.core.errors import RefusedError, StaleError
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import WORD, int_at, selector
from keeper.oracle.book import PriceBook
from keeper.oracle.feeds import FollowedFeed

_LATEST_ANSWER: Final = selector("latestAnswer()")
_LATEST_ROUND: Final = selector("latestRoundData()")
_DECIMALS: Final = selector("decimals()")

_SELECTOR: Final = bytes.fromhex("60003560e01c")
"""PUSH 0, CALLDATALOAD, PUSH 224, SHR."""
_PHASE_BIT: Final = 64
_SOME_ROUND: Final = 2**32
"""A round's number within its phase: more than there have been."""

_REVERT: Final = bytes.fromhex("60006000fd")
_BRANCH: Final = 11
"""Bytes of one comparison: DUP1, PUSH4 selector, EQ, PUSH2 target, JUMPI."""


def stand_in(*, answer: int, round_id: int, updated_at: int, decimals: int) -> StateOverride:
    """Return the code of a feed whose newest round is this; ``updated_at`` is unix seconds."""
    answers = {
        _LATEST_ANSWER: (answer,),
        _LATEST_ROUND: (round_id, answer, updated_at, updated_at, round_id),
        _DECIMALS: (decimals,),
    }
    bodies = {function: _returns(words) for function, words in answers.items()}
    target = len(_SELECTOR) + _BRANCH * len(bodies) + len(_REVERT)
    branches = b""
    for function, body in bodies.items():
        branches += b"\x80\x63" + function + b"\x14\x61" + target.to_bytes(2, "big") + b"\x57"
        target += len(body)
    return StateOverride(code=_SELECTOR + branches + _REVERT + b"".join(bodies.values()))


class StandIns:
    """Makes stand-ins for a deployment's feeds."""

    def __init__(self, reader: Reader) -> None:
        """Ask a chain for what the feeds themselves say."""
        self._reader = reader
        self._decimals: dict[Address, int] = {}

    async def at(
        self, one: FollowedFeed, book: PriceBook, price: int, timestamp: int, *, falls: bool
    ) -> dict[Address, StateOverride]:
        """Return what makes a feed that moves by events fall, or rise, to a price in a rehearsal.

        Raises StaleError when the feed has no round now, RefusedError when it has no decimals.
        """
        found = one.answering(book.evidence, price, falls=falls)
        if found is None:
            msg = f"{one.feed.label}: expected a round to stand in for, found none"
            raise StaleError(msg)
        proxy = found.leaf.proxy
        return {proxy: await self.of(proxy, book, found.answer, timestamp)}

    async def of(
        self, proxy: Address, book: PriceBook, answer: int, timestamp: int
    ) -> StateOverride:
        """Return what answers in the place of a feed; raise as ``at`` does."""
        latest = book.evidence.rounds.get(proxy)
        if latest is None:
            raise StaleError(f"feed {proxy}: expected a round to stand in for, found none")
        return stand_in(
            answer=answer,
            round_id=(latest.phase << _PHASE_BIT) | _SOME_ROUND,
            updated_at=timestamp,
            decimals=await self._decimals_of(proxy, book.block),
        )

    async def make_ready(self, proxies: Iterable[Address], block: BlockRef) -> None:
        """Read what is not known yet of several feeds at once, of those that say it."""
        unknown = [one for one in dict.fromkeys(proxies) if one not in self._decimals]
        if not unknown:
            return
        calls = [Call(to=one, data=_DECIMALS) for one in unknown]
        answers = await self._reader.call_many(calls, block)
        for proxy, answer in zip(unknown, answers, strict=True):
            if answer.success and len(answer.data) == WORD:
                self._decimals[proxy] = int_at(answer.data, 0)

    async def _decimals_of(self, proxy: Address, block: BlockRef) -> int:
        await self.make_ready([proxy], block)
        if proxy not in self._decimals:
            raise RefusedError(f"feed {proxy}: expected its decimals, found no word that says them")
        return self._decimals[proxy]


def _returns(words: tuple[int, ...]) -> bytes:
    """Return code that returns words: JUMPDEST, each PUSH32 word PUSH1 place MSTORE, RETURN."""
    code = b"\x5b"
    for place, word in enumerate(words):
        code += b"\x7f" + word.to_bytes(WORD, "big", signed=word < 0)
        code += b"\x60" + bytes((place * WORD,)) + b"\x52"
    return code + b"\x60" + bytes((len(words) * WORD,)) + b"\x60\x00\xf3"
