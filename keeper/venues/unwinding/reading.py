"""Answers of contracts that may be anything: each one is checked before it is used."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from keeper.core.chain import BlockRef, Call
from keeper.core.errors import StaleError
from keeper.core.lending import ProtocolCall
from keeper.core.plan import Funding, Underlying
from keeper.core.ports import Reader, UnwindBook
from keeper.core.units import Address
from keeper.evm.erc20 import DECIMALS, SYMBOL, symbol_of
from keeper.evm.words import WORD, ask, int_at

_MOST_DECIMALS = 36
"""Of a token that is dealt with: millions of one with twice as many would be no number any more."""


class Question(Struct, frozen=True, kw_only=True):
    """A call whose answer is one word or more, and the words to say which."""

    name: str
    call: Call
    words: int = 1
    """Expected at the least; 0 where no answer is an answer."""


async def answers(reader: Reader, asked: Sequence[Question], block: BlockRef) -> list[bytes]:
    """Return what contracts answer at ``block``.

    Raises StaleError naming the first that reverts or answers too little: then nothing is known.
    """
    results = await reader.call_many([one.call for one in asked], block)
    for one, result in zip(asked, results, strict=True):
        found = f"{len(result.data)} bytes" if result.success else "a revert"
        if one.words and (not result.success or len(result.data) < one.words * WORD):
            expected = f"expected {one.words * WORD} bytes of {one.name}"
            raise StaleError(f"{one.call.to}: {expected} at block {block.number}, found {found}")
    return [result.data if result.success else b"" for result in results]


async def read_underlying(reader: Reader, token: Address, block: BlockRef) -> Underlying:
    """Return a token with its decimals and a symbol fit to show. Raises StaleError."""
    (decimals,) = await answers(
        reader, [Question(name="decimals()", call=ask(token, DECIMALS))], block
    )
    (symbol,) = await reader.call_many([ask(token, SYMBOL)], block)
    return Underlying(
        address=token,
        symbol=symbol_of(symbol.data if symbol.success else b"", token),
        unit=10 ** decimals_of(decimals, token),
    )


def decimals_of(data: bytes, token: Address) -> int:
    """Return decimals, which must not be too many to reckon with. Raises StaleError."""
    found = int_at(data, 0)
    if found > _MOST_DECIMALS:
        raise StaleError(f"{token}: expected at most {_MOST_DECIMALS} decimals, found {found}")
    return found


class UnknownBook(Struct, frozen=True, kw_only=True):
    """A token of which it is not known what it is redeemed for: nothing is planned with it."""

    kind: str
    underlying: Underlying
    """The token itself."""
    refusal: str
    gas: int = 0

    @property
    def terms(self) -> str:
        """Return why nothing is known."""
        return self.refusal

    def redeem(self, received: Sequence[int], *, timestamp: int, funding: Funding | None) -> int:
        """Raise StaleError: what was not read is not guessed."""
        del received, timestamp, funding
        raise StaleError(self.refusal)

    def worth(self, shares: int) -> int:
        """Raise StaleError."""
        del shares
        raise StaleError(self.refusal)

    def call(self, executor: Address) -> ProtocolCall:
        """Raise StaleError."""
        del executor
        raise StaleError(self.refusal)

    def after(self, shares: int, assets: int) -> "UnknownBook":
        """Return itself."""
        del shares, assets
        return self


def unknown(kind: str, share: Address, why: StaleError) -> UnknownBook:
    """Return the book of a token whose contract did not answer."""
    itself = Underlying(address=share, symbol=share[:10], unit=1)
    return UnknownBook(kind=kind, underlying=itself, refusal=f"it is not known: {why}")


class Identity(Protocol):
    """What does not change of a token."""

    @property
    def underlying(self) -> Underlying:
        """Return what it is redeemed for."""
        ...


I = TypeVar("I", bound=Identity)  # noqa: E741 - of an identity


class TokenUnwinder(ABC, Generic[I]):
    """Reads one token: once what it is, at each block what it gives."""

    def __init__(self, reader: Reader, *, kind: str, share: Address) -> None:
        self._reader = reader
        self._kind = kind
        self._share = share
        self._known: I | None = None

    @property
    def share(self) -> Address:
        """Return the token."""
        return self._share

    async def sold(self, block: BlockRef) -> Address:
        """Return what is swapped instead of the token, the token itself while that is unknown."""
        try:
            return (await self._identify(block)).underlying.address
        except StaleError:
            return self._share

    async def snapshot(self, block: BlockRef) -> UnwindBook:
        """Read the token at ``block``; one that answers wrongly gives a book that refuses."""
        try:
            return await self._read(await self._identify(block), block)
        except StaleError as why:
            return unknown(self._kind, self._share, why)

    async def _identify(self, block: BlockRef) -> I:
        if self._known is None:
            self._known = await self._identity(block)
        return self._known

    @abstractmethod
    async def _identity(self, block: BlockRef) -> I:
        """Read what does not change. Raises StaleError."""

    @abstractmethod
    async def _read(self, known: I, block: BlockRef) -> UnwindBook:
        """Read what it gives at ``block``. Raises StaleError."""
