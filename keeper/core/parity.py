"""One account as we have it and as the chain has it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from msgspec import Struct

from keeper.core.chain import Call, CallResult
from keeper.core.lending import AccountRef

_WORD = 32


class Sides(Struct, frozen=True, kw_only=True):
    """The same figures of one account from the mirror and from the chain, at one block.

    Which figures is the adapter's choice: best are those that the protocol itself decides by.
    """

    mirror: Mapping[str, int]
    chain: Mapping[str, int]
    """Without those that the protocol refused to tell."""

    @property
    def agree(self) -> bool:
        """Return whether both are the same, to the last unit."""
        return self.mirror == self.chain

    def __str__(self) -> str:
        """Return the figures that differ, mirror first."""
        names = sorted(self.mirror.keys() | self.chain.keys())
        return ", ".join(
            f"{name} {self.mirror.get(name, 'none')} in the mirror, "
            f"{self.chain.get(name, 'none')} on chain"
            for name in names
            if self.mirror.get(name) != self.chain.get(name)
        )


Told = Callable[[bytes], int | None]
"""Finds a figure in the answer to a call; None where it is not there."""


class Figure(NamedTuple):
    """A figure as the mirror has it, and how the chain tells it."""

    name: str
    mine: int
    call: Call
    told: Told


Figures = Mapping[AccountRef, Sequence[Figure]]


def calls_of(figures: Figures) -> list[Call]:
    """Return what is to be asked: what accounts share, once."""
    return list(dict.fromkeys(one.call for one in chain.from_iterable(figures.values())))


def compared(figures: Figures, answers: Iterable[CallResult]) -> dict[AccountRef, Sides]:
    """Return both sides of each account, given the answers to ``calls_of`` in their order."""
    said = dict(zip(calls_of(figures), answers, strict=True))
    return {
        ref: Sides(
            mirror={one.name: one.mine for one in some},
            chain={one.name: told for one in some if (told := _told(one, said)) is not None},
        )
        for ref, some in figures.items()
    }


def word(position: int) -> Told:
    """Return what finds the word at a position, as an unsigned integer."""

    def told(data: bytes) -> int | None:
        end = (position + 1) * _WORD
        return int.from_bytes(data[end - _WORD : end], "big") if len(data) >= end else None

    return told


def _told(one: Figure, answers: Mapping[Call, CallResult]) -> int | None:
    answer = answers[one.call]
    return one.told(answer.data) if answer.success else None
