"""Whom a transaction let take tokens, by the chain's own record."""

from collections.abc import Iterable, Sequence
from typing import Final

from keeper.core.units import Address, Hash32, address_of_word
from keeper.evm.hashing import keccak256

_APPROVAL: Final = "0x" + keccak256(b"Approval(address,address,uint256)").hex()
_TOPICS: Final = 3


def allowed_by(topics_of: Iterable[Sequence[Hash32]], owner: Address) -> frozenset[Address]:
    """Return every spender of the owner's tokens that logs, by their topics, tell of."""
    return frozenset(
        address_of_word(topics[2])
        for topics in topics_of
        if len(topics) == _TOPICS and topics[0] == _APPROVAL and address_of_word(topics[1]) == owner
    )
