"""Code of a few bytes that misbehaves, put where a real contract was. Written out by hand."""

from eth_utils.crypto import keccak

from keeper.core.units import Address, address_bytes
from keeper.devnet.rpc import Rpc

ANSWER_UPDATED = keccak(text="AnswerUpdated(int256,uint256,uint256)")

GAS_BOMB = bytes.fromhex("5b5f56")
"""JUMPDEST PUSH0 JUMP: for ever."""
HUGE_RETURN = bytes.fromhex("621000005ff3")
"""PUSH3 0x100000 PUSH0 RETURN: a mebibyte of zeros."""
EMPTY_REVERT = bytes.fromhex("5f5ffd")


def put(rpc: Rpc, where: Address, code: bytes) -> None:
    rpc.call("anvil_setCode", where, "0x" + code.hex())


def refusing(rest: Address, function: bytes) -> bytes:
    """Return code that reverts on one function; any other call goes to the code at ``rest``."""
    asked = bytes.fromhex("5f3560e01c63") + function + bytes.fromhex("1460")
    ask = (
        bytes.fromhex("365f5f375f5f365f73") + address_bytes(rest) + bytes.fromhex("5af43d5f5f3e60")
    )
    ok_at = len(asked) + 2 + len(ask) + 2 + 3
    ask += bytes((ok_at,)) + bytes.fromhex("573d5ffd5b3d5ff3")
    refused_at = len(asked) + 2 + len(ask)
    return asked + bytes((refused_at,)) + b"\x57" + ask + b"\x5b" + EMPTY_REVERT


def flooding(rest: Address, answer: int) -> bytes:
    """Return code that emits as many ``AnswerUpdated`` as its one word of calldata says.

    Any other call goes to the code at ``rest``, so that prices are read as before.
    """
    passed_on = (
        bytes.fromhex("365f5f375f5f365f73") + address_bytes(rest) + bytes.fromhex("5af43d5f5f3e60")
    )
    head = bytes.fromhex("36602014") + b"\x60"  # CALLDATASIZE PUSH1 32 EQ PUSH1 flood
    ok_at = len(head) + 2 + len(passed_on) + 2 + 3
    passed_on += bytes((ok_at,)) + bytes.fromhex("573d5ffd5b3d5ff3")
    flood_at = len(head) + 2 + len(passed_on)
    loop_at = flood_at + 3
    flood = (
        bytes.fromhex("5b5f355b80")
        + b"\x7f" + answer.to_bytes(32, "big")
        + b"\x7f" + ANSWER_UPDATED
        + bytes.fromhex("60205fa3600190038060")
        + bytes((loop_at,))
        + bytes.fromhex("5700")
    )  # fmt: skip
    return head + bytes((flood_at,)) + b"\x57" + passed_on + flood
