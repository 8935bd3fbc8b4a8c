"""A contract that answers some calls as we say and all others itself.

Rehearsals put it in the place of the oracle that a protocol asks, at prices that no block has. What
stood there is asked through DELEGATECALL for everything else, so its storage and its address stay
what they were: it may be a proxy, an aggregator of feeds or a feed, of any protocol.
"""

from collections.abc import Mapping
from typing import Final

from keeper.core.chain import StateOverride
from keeper.core.units import Address
from keeper.evm.hashing import keccak256
from keeper.evm.words import WORD

_HASH_OF_CALL: Final = bytes.fromhex("366000600037" + "366000" + "20")
"""CALLDATACOPY of the whole call to 0, KECCAK256 of it."""
_ASK: Final = bytes.fromhex("6000" + "6000" + "36" + "6000" + "73")
"""What DELEGATECALL takes, no room for what it returns and the whole call, up to PUSH20."""
_HAND_ON: Final = bytes.fromhex("5af4" + "3d6000803e" + "61")
"""GAS, DELEGATECALL, RETURNDATACOPY of all that came back to 0, up to PUSH2."""
_OR_REVERT: Final = bytes.fromhex("57" + "3d6000fd")
"""JUMPI where it succeeded, else REVERT with what came back."""
_RETURN: Final = bytes.fromhex("5b" + "3d6000f3")
_BRANCH: Final = 39
"""Bytes of one comparison: DUP1, PUSH32 hash, EQ, PUSH2 target, JUMPI."""
_PLACE: Final = 2
"""Bytes of a jump's target."""


def answering(
    contract: Address, code: bytes, answers: Mapping[bytes, int]
) -> dict[Address, StateOverride]:
    """Return what makes a contract of that runtime ``code`` answer each call with one word.

    ``answers`` is by the whole calldata. The code is moved to an address that follows from the
    contract's and that nobody has.
    """
    moved = Address("0x" + keccak256(b"moved from " + bytes.fromhex(contract[2:]))[-20:].hex())
    ask = _ASK + bytes.fromhex(moved[2:]) + _HAND_ON
    success = len(_HASH_OF_CALL) + _BRANCH * len(answers) + len(ask) + _PLACE + len(_OR_REVERT)
    target = success + len(_RETURN)
    branches = bodies = b""
    for call, word in answers.items():
        body = b"\x5b\x7f" + word.to_bytes(WORD) + bytes.fromhex("600052" + "60206000f3")
        branches += b"\x80\x7f" + keccak256(call) + b"\x14\x61" + _place(target) + b"\x57"
        bodies, target = bodies + body, target + len(body)
    whole = _HASH_OF_CALL + branches + ask + _place(success) + _OR_REVERT + _RETURN + bodies
    return {contract: StateOverride(code=whole), moved: StateOverride(code=code)}


def _place(target: int) -> bytes:
    return target.to_bytes(_PLACE)
