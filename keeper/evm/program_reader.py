"""Reader of the packed program: whom the executor contract calls, pays and lets take its tokens.

It reads the bytes that are signed, as ``contracts/src/Liquidator.sol``, ``Loans.sol`` and
``Program.sol`` do, and nothing that the planner says of them.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from msgspec import Struct

from keeper.core.units import Address
from keeper.evm.program import FlashKind, Known
from keeper.evm.program_encoder import EXECUTE_SELECTOR
from keeper.evm.words import selector

_CALL: Final = 1
_SWAP: Final = 2
_FLASH: Final = 3
_LATER: Final = 4
_PAIR: Final = 5
_APPROVE: Final = 1
_VALUE: Final = 2
_EXACT_OUT: Final = 2
_RAW: Final = 0x23
_LONGEST: Final = 0x20
_KNOWN: Final = tuple(one.value for one in Known)
_ENTRIES: Final = range(0x40, 0xC0)
_ALLOWED_KINDS: Final = (FlashKind.SIMPLE.value, FlashKind.ERC_3156.value)
"""Lenders that take what is due by an allowance; the others are paid."""
_GRANTS: Final = {
    selector(one): one
    for one in (
        "approve(address,uint256)",
        "increaseAllowance(address,uint256)",
        "setApprovalForAll(address,bool)",
    )
}
"""Calls that give an allowance which outlives its step: a program has steps for that."""
_ADDRESS: Final = 20
_DEADLINE: Final = 5
_REMEMBERED: Final = 512


class Reach(Struct, frozen=True, kw_only=True):
    """Whom a program deals with."""

    called: frozenset[Address]
    """Protocols, lenders, routers and wrappers."""
    spenders: frozenset[Address]
    """Who is given an allowance of the executor contract's tokens, for one step."""
    pools: frozenset[Address]
    """Where it swaps; they are paid."""
    tokens: frozenset[Address]
    """What it borrows, repays or swaps."""


@lru_cache(maxsize=_REMEMBERED)
def read_reach(data: bytes) -> Reach:
    """Return the reach of a transaction's data; raise ValueError when it is no whole program."""
    reader = _Reader(data)
    reader.program()
    return Reach(
        called=frozenset(reader.called),
        spenders=frozenset(reader.spenders),
        pools=frozenset(reader.pools),
        tokens=frozenset(reader.tokens),
    )


@dataclass(slots=True)
class _Reader:
    """Goes through a program from front to back."""

    data: bytes
    place: int = 0
    table: list[Address] = field(default_factory=list)
    called: set[Address] = field(default_factory=set)
    spenders: set[Address] = field(default_factory=set)
    pools: set[Address] = field(default_factory=set)
    tokens: set[Address] = field(default_factory=set)

    def program(self) -> None:
        """Read header and steps to the last byte."""
        if self.data[: len(EXECUTE_SELECTOR)] != EXECUTE_SELECTOR:
            msg = f"expected a call of execute(), found {self.data[:4].hex() or 'nothing'}"
            raise ValueError(msg)
        self.place = len(EXECUTE_SELECTOR) + _DEADLINE
        self.byte()  # how many of the table are tokens
        self.table = [Address("0x" + self.take(_ADDRESS).hex()) for _ in range(self.byte())]
        self.operand()
        self.operand()
        self.byte()
        self.steps(len(self.data))

    def steps(self, end: int) -> None:
        """Read steps until ``end``, which must be where one ends."""
        while self.place < end:
            head = self.byte()
            self.step(head & 15, head >> 4)
        if self.place != end:
            raise ValueError(f"expected a step to end at byte {end}, found {self.place}")

    def step(self, kind: int, flags: int) -> None:
        """Read what follows a step's first byte."""
        if kind == _CALL:
            self.call(flags)
        elif kind in (_SWAP, _PAIR):
            self.swap(flags, is_pair=kind == _PAIR)
        elif kind == _FLASH:
            self.flash(flags)
        elif kind == _LATER:
            self.later()
        else:
            raise ValueError(f"expected a step of kind 1 to 5, found {kind}")

    def call(self, flags: int) -> None:
        self.called.add(self.entry())
        if flags & _APPROVE:
            self.tokens.add(self.entry())
            self.spenders.add(self.entry())
            self.operand()
        if flags & _VALUE:
            self.operand()
        self.calldata()

    def swap(self, flags: int, *, is_pair: bool) -> None:
        self.pools.add(self.entry())
        self.tokens.add(self.entry())
        if is_pair:
            self.take(2)
        self.operand()
        if flags & _EXACT_OUT:
            self.operand()
        self.inner()

    def flash(self, how: int) -> None:
        lender = self.entry()
        self.called.add(lender)
        if how in _ALLOWED_KINDS:
            self.spenders.add(lender)
        self.tokens.add(self.entry())
        self.operand()
        self.inner()

    def later(self) -> None:
        target = self.entry()
        self.called.add(target)
        self.spenders.add(target)
        self.tokens.add(self.entry())
        self.operand()
        self.calldata()
        self.inner()

    def inner(self) -> None:
        size = int.from_bytes(self.take(2))
        self.steps(self.place + size)

    def calldata(self) -> None:
        if (granted := _GRANTS.get(self.take(4))) is not None:
            raise ValueError(f"expected an allowance for one step, found a call of {granted}")
        for _ in range(self.byte()):
            if self.data[self.place : self.place + 1] == bytes((_RAW,)):
                self.byte()
                self.take(int.from_bytes(self.take(2)))
            else:
                self.operand()

    def operand(self) -> None:
        tag = self.byte()
        if tag <= _LONGEST:
            self.take(tag)
        elif tag not in _KNOWN and tag not in _ENTRIES:
            raise ValueError(f"expected an operand at byte {self.place - 1}, found tag {tag:#x}")

    def entry(self) -> Address:
        index = self.byte()
        if index >= len(self.table):
            msg = f"expected one of {len(self.table)} addresses, found number {index}"
            raise ValueError(msg)
        return self.table[index]

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, size: int) -> bytes:
        found = self.data[self.place : self.place + size]
        if len(found) != size:
            raise ValueError(f"expected {size} bytes at byte {self.place}, found {len(found)}")
        self.place += size
        return found
