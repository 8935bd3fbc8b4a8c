"""Debts as they were made: principals and their indices, which no function of a market tells."""

from collections.abc import Sequence
from typing import NamedTuple

from keeper.core.chain import BlockRef
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.protocols.compound_v2 import codec, rules


class Owing(NamedTuple):
    """A debt as a market answers it."""

    token: Address
    account: Address
    owed: int
    since: int
    """The market's stored index, at which that is the balance."""


async def read_principals(
    reader: Reader, block: BlockRef, slot: int, owing: Sequence[Owing]
) -> list[tuple[int, int]]:
    """Read principals and their indices from the mapping at ``slot`` of each market's storage.

    What does not come to the balance that the market answers is not them. The balance at the
    market's index stands in then, and is at most a raw unit too low later on.
    """
    slots = []
    for one in owing:
        first = codec.borrow_slot(one.account, slot)
        slots += [(one.token, first), (one.token, (first + 1) % 2**256)]
    words = await reader.storage_many(slots, block)
    found = []
    for i, one in enumerate(owing):
        principal, since = words[2 * i : 2 * i + 2]
        if not since or rules.borrow_balance(principal, since, one.since) != one.owed:
            principal, since = one.owed, one.since
        found.append((principal, since))
    return found
