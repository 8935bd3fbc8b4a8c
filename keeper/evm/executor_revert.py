"""Reader of the errors that the on-chain executor reverts with."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from keeper.core.units import Address, address_of_word

_SELECTOR: Final = 4
_WORD: Final = 32


class Shape(Struct, frozen=True, kw_only=True):
    """An error's name, and the names and types of its arguments."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()


ERRORS: Final[Mapping[str, Shape]] = {
    "08083b2a": Shape(name="AmountTooLarge", arguments=(("amount", "uint256"),)),
    "6c544f33": Shape(
        name="CallFailed",
        arguments=(
            ("target", "address"),
            ("reason", "bytes"),
        ),
    ),
    "3a966758": Shape(name="CallbackMissing", arguments=(("callee", "address"),)),
    "83f2ba20": Shape(
        name="DeadlinePassed",
        arguments=(
            ("deadline", "uint256"),
            ("timestamp", "uint256"),
        ),
    ),
    "8e4c8aa6": Shape(name="InvalidAddress", arguments=(("given", "address"),)),
    "41a896e7": Shape(name="MalformedProgram", arguments=(("pos", "uint256"),)),
    "a5b05eec": Shape(
        name="NativeTransferFailed",
        arguments=(
            ("to", "address"),
            ("amount", "uint256"),
        ),
    ),
    "674520b6": Shape(name="NoCode", arguments=(("target", "address"),)),
    "76c6c93a": Shape(name="NotOperator", arguments=(("caller", "address"),)),
    "245aecd3": Shape(name="NotOwner", arguments=(("caller", "address"),)),
    "f0ca6deb": Shape(
        name="PairTooShallow",
        arguments=(
            ("pair", "address"),
            ("asked", "uint256"),
            ("reserve", "uint256"),
        ),
    ),
    "c52009f0": Shape(
        name="PaymentAboveLimit",
        arguments=(
            ("asked", "uint256"),
            ("limit", "uint256"),
        ),
    ),
    "c6ef2fc0": Shape(
        name="ProfitBelowMinimum",
        arguments=(
            ("profit", "uint256"),
            ("minimum", "uint256"),
        ),
    ),
    "b5dfd9e5": Shape(name="Reentered"),
    "fecb69b4": Shape(name="TokenCallFailed", arguments=(("token", "address"),)),
    "c2221189": Shape(name="UnexpectedCallback", arguments=(("caller", "address"),)),
    "fa209e1c": Shape(name="UnexpectedNative", arguments=(("sender", "address"),)),
    "42972bd9": Shape(name="UnknownLender", arguments=(("how", "uint256"),)),
    "5cf20d63": Shape(name="NotExecutor", arguments=(("caller", "address"),)),
    "5e3a950e": Shape(name="CallbackRefused"),
    "fc165d5e": Shape(
        name="TreasuryShort",
        arguments=(
            ("token", "address"),
            ("held", "uint256"),
            ("before", "uint256"),
        ),
    ),
}
"""By selector, as in ``abis/Liquidator.json`` and, for the last ones, ``abis/Inventory.json``."""


class ExecutorRevert(Struct, frozen=True, kw_only=True):
    """One of the errors of the executor, or of the inventory that lends to it."""

    name: str
    arguments: Mapping[str, int | Address | bytes]

    @property
    def inner(self) -> bytes:
        """Return what the contract called by a failed ``Call`` step reverted with, else nothing."""
        reason = self.arguments.get("reason", b"")
        return reason if isinstance(reason, bytes) else b""

    def __str__(self) -> str:
        """Return it as a call: name and named arguments, bytes as hex."""
        shown = (
            f"{name}={'0x' + value.hex() if isinstance(value, bytes) else value}"
            for name, value in self.arguments.items()
        )
        return f"{self.name}({', '.join(shown)})"


def read_revert(data: bytes) -> ExecutorRevert | None:
    """Return the executor's error in revert data, or None when it is not one of the executor's."""
    shape = ERRORS.get(data[:_SELECTOR].hex())
    body = data[_SELECTOR:]
    if shape is None or len(body) < _WORD * len(shape.arguments):
        return None
    return ExecutorRevert(
        name=shape.name,
        arguments={
            name: _argument(kind, body, _WORD * place)
            for place, (name, kind) in enumerate(shape.arguments)
        },
    )


def _argument(kind: str, body: bytes, start: int) -> int | Address | bytes:
    word = body[start : start + _WORD]
    if kind == "address":
        return address_of_word(word)
    number = int.from_bytes(word)
    if kind == "uint256":
        return number
    size = int.from_bytes(body[number : number + _WORD])
    return body[number + _WORD : number + _WORD + size]
