"""Seized tokens that no pool trades: redeemed first, and their underlying is swapped."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from msgspec import Struct, field

from keeper.core.errors import RefusedError
from keeper.core.fixed_point import mul_div_ceil
from keeper.core.lending import Valuation
from keeper.core.plan import Funding, Unwound
from keeper.core.ports import UnwindBook
from keeper.core.units import Address
from keeper.core.values import replace


class Redeemed(Struct, frozen=True, kw_only=True):
    """A collateral that is redeemed, and the book that says what it brings."""

    book: UnwindBook
    unwound: Unwound

    @property
    def assets(self) -> int:
        """What is swapped instead of the collateral, raw units."""
        return self.unwound.assets


class Unwinding(Struct, frozen=True, kw_only=True):
    """What tokens are redeemed for, at one block or after plans. Immutable."""

    books: Mapping[Address, UnwindBook] = field(default_factory=dict)
    """By token; one that is not in it is swapped itself."""

    def sold(self, collateral: Address) -> Address:
        """Return the token that is swapped of a collateral: itself, or its underlying."""
        book = self.books.get(collateral)
        return collateral if book is None else book.underlying.address

    def refusal(self, collateral: Address) -> str | None:
        """Return why nothing of a collateral can be redeemed, None when it can or need not."""
        book = self.books.get(collateral)
        return None if book is None else book.refusal

    def redeem(
        self, collateral: Address, received: Sequence[int], timestamp: int, funding: Funding
    ) -> Redeemed | None:
        """Return what becomes of a collateral that comes in these parts, None when nothing need.

        Raises RefusedError when as much cannot be redeemed, or is too little to bring anything.
        """
        book = self.books.get(collateral)
        if book is None:
            return None
        shares, assets = sum(received), book.redeem(received, timestamp=timestamp, funding=funding)
        if assets < 1:
            raise RefusedError(f"{collateral}: {shares} shares bring nothing")
        unwound = Unwound(
            kind=book.kind,
            share=collateral,
            shares=shares,
            underlying=book.underlying,
            assets=assets,
        )
        return Redeemed(book=book, unwound=unwound)

    def worth(self, collateral: Address, shares: int) -> int:
        """Return about what a collateral brings, also where as much cannot be redeemed."""
        book = self.books.get(collateral)
        return shares if book is None else max(book.worth(shares), 1)

    def symbols(self) -> dict[Address, str]:
        """Return the symbol of each underlying."""
        return {one.underlying.address: one.underlying.symbol for one in self.books.values()}

    def after(self, done: Unwound | None) -> "Unwinding":
        """Return what is left to redeem once a plan's collateral was; None where none had to be."""
        book = None if done is None else self.books.get(done.share)
        if done is None or book is None:
            return self
        return replace(self, books={**self.books, done.share: book.after(done.shares, done.assets)})

    def follow(self, factors: Mapping[Address, Fraction]) -> Mapping[Address, Fraction]:
        """Return moves of tokens' values with those of their underlyings, which move alike."""
        moved = {
            book.underlying.address: factors[share]
            for share, book in self.books.items()
            if share in factors
        }
        return {**moved, **factors}


def value_floor(
    valuation: Valuation, token: Address, amount: int, redeemed: Redeemed | None
) -> int:
    """Return an amount's value in wei; an underlying that has no price is worth its shares."""
    if token in valuation.assets or redeemed is None:
        return valuation.wei_floor(token, amount)
    done = redeemed.unwound
    shares = mul_div_ceil(amount, done.shares, done.assets)
    return valuation.wei_floor(done.share, shares)


def symbol_of(valuation: Valuation, token: Address, redeemed: Redeemed | None) -> str:
    """Return the symbol of a token that a plan deals in; the market need not know it."""
    if token in valuation.assets or redeemed is None:
        return valuation.assets[token].symbol
    return redeemed.unwound.underlying.symbol
