"""Every venue's pools together: paths over them, and what swapping along a path moves."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Self

from msgspec import Struct

from keeper.core.plan import SwapKind, SwapLeg
from keeper.core.ports import Hop, Moved, Path, SwapBook, SwapQuote
from keeper.core.units import Address
from keeper.core.values import replace


class Exchange(Struct, frozen=True, kw_only=True):
    """The books of all venues at one block, or after swaps already counted on. Immutable."""

    books: Mapping[str, SwapBook]
    """By venue."""

    @property
    def middles(self) -> tuple[Address, ...]:
        """The tokens that a path of two hops may go through."""
        return tuple(dict.fromkeys(m for book in self.books.values() for m in book.intermediates))

    def paths(self, token_in: Address, token_out: Address) -> tuple[Path, ...]:
        """Return every direct path, then every path of two hops, over whichever venues."""
        direct = tuple((hop,) for hop in self._hops(token_in, token_out))
        over = tuple(
            (first, second)
            for middle in self.middles
            if middle not in (token_in, token_out)
            for first in self._hops(token_in, middle)
            for second in self._hops(middle, token_out)
        )
        return direct + over

    def exact_in(self, path: Path, amount_in: int) -> SwapQuote | None:
        """Return what selling ``amount_in`` along the path gives, None when a pool cannot say."""
        amounts, moved = [amount_in], []
        for hop in path:
            swap = self.books[hop.venue].sell(hop, amounts[-1])
            if swap is None:
                return None
            amounts.append(swap.amount_out)
            moved.append(swap)
        return SwapQuote(path=path, amounts=tuple(amounts), moved=tuple(moved))

    def exact_out(self, path: Path, amount_out: int) -> SwapQuote | None:
        """Return what buying ``amount_out`` along the path takes, None when a pool cannot say."""
        amounts, moved = [amount_out], []
        for hop in reversed(path):
            swap = self.books[hop.venue].buy(hop, amounts[-1])
            if swap is None:
                return None
            amounts.append(swap.amount_in)
            moved.append(swap)
        return SwapQuote(path=path, amounts=tuple(amounts[::-1]), moved=tuple(moved[::-1]))

    def rate(self, path: Path, quote: SwapQuote | None) -> float:
        """Return what the next raw unit sold along the path would bring, now or after a quote."""
        rate = 1.0
        for place, hop in enumerate(path):
            moved = None if quote is None else quote.moved[place]
            rate *= self.books[hop.venue].rate(hop, moved)
        return rate

    def repriced(self, factors: Mapping[Address, Fraction]) -> Self:
        """Return the exchange once it has followed a move of tokens' values."""
        return replace(self, books={n: book.repriced(factors) for n, book in self.books.items()})

    def after(self, *quotes: SwapQuote) -> Self:
        """Return the exchange as swaps leave it."""
        books = dict(self.books)
        for quote in quotes:
            for hop, moved in zip(quote.path, quote.moved, strict=True):
                books[hop.venue] = books[hop.venue].after(hop, moved)
        return replace(self, books=books)

    def past(self, legs: Iterable[SwapLeg]) -> Self:
        """Return the exchange as a plan's swaps leave it; a leg in no known pool is left out."""
        books = dict(self.books)
        for leg in legs:
            book = books.get(leg.venue)
            hops = () if book is None else book.hops(leg.token_in, leg.token_out)
            hop = next((one for one in hops if one.pool == leg.pool), None)
            moved = None if book is None or hop is None else _moved(book, hop, leg)
            if book is not None and hop is not None and moved is not None:
                books[leg.venue] = book.after(hop, moved)
        return replace(self, books=books)

    def _hops(self, token_in: Address, token_out: Address) -> Iterator[Hop]:
        for book in self.books.values():
            yield from book.hops(token_in, token_out)


def _moved(book: SwapBook, hop: Hop, leg: SwapLeg) -> Moved | None:
    """Return what a leg moves, its amount fixed on the side on which the leg fixes it."""
    if leg.kind in (SwapKind.EXACT_OUT, SwapKind.EXACT_OUT_OWED):
        return book.buy(hop, leg.amount_out)
    return book.sell(hop, leg.amount_in)
