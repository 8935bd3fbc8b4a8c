"""Read a signed type-2 transaction back from its bytes: what a restart knows of it."""

from msgspec import Struct

from keeper.core.chain import Fees, Transaction
from keeper.core.errors import InvariantError
from keeper.core.units import Address
from keeper.evm.transaction import DYNAMIC_FEE_TYPE

Item = bytes | list["Item"]
"""What RLP decodes to."""

_STRING = 0x80
_LONG_STRING = 0xB7
_LIST = 0xC0
_LONG_LIST = 0xF7
_FIELDS = 12


class SignedTransaction(Struct, frozen=True, kw_only=True):
    """A signed transaction's content. The sender is who signed, which the caller knows."""

    chain_id: int
    nonce: int
    gas_limit: int
    fees: Fees
    transaction: Transaction


def decode_signed(raw: bytes, *, sender: Address) -> SignedTransaction:
    """Return what a signed type-2 transaction says. Raises InvariantError on other bytes."""
    if raw[:1] != DYNAMIC_FEE_TYPE:
        msg = f"signed transaction: expected type 2, found first byte {raw[:1].hex() or 'none'}"
        raise InvariantError(msg)
    item, rest = decode_rlp(raw[1:])
    if rest or not isinstance(item, list) or len(item) != _FIELDS:
        msg = f"signed transaction: expected a list of {_FIELDS} fields, found other RLP"
        raise InvariantError(msg)
    chain_id, nonce, priority_fee, max_fee, gas_limit, to, value, data = map(_bytes, item[:8])
    return SignedTransaction(
        chain_id=_number(chain_id),
        nonce=_number(nonce),
        gas_limit=_number(gas_limit),
        fees=Fees(max_fee=_number(max_fee), priority_fee=_number(priority_fee)),
        transaction=Transaction(
            sender=sender, to=Address("0x" + to.hex()), data=data, value=_number(value)
        ),
    )


def decode_rlp(data: bytes) -> tuple[Item, bytes]:
    """Return the first item of RLP, and the bytes after it (yellow paper, appendix B)."""
    if not data:
        msg = "rlp: expected an item, found the end"
        raise InvariantError(msg)
    first = data[0]
    if first < _STRING:
        return data[:1], data[1:]
    if first < _LIST:
        return _taken(data, first, short=_STRING, long=_LONG_STRING)
    content, rest = _taken(data, first, short=_LIST, long=_LONG_LIST)
    items: list[Item] = []
    while content:
        item, content = decode_rlp(content)
        items.append(item)
    return items, rest


def _taken(data: bytes, first: int, *, short: int, long: int) -> tuple[bytes, bytes]:
    """Return the content after a head, and the bytes after that."""
    if first <= long:
        start, size = 1, first - short
    else:
        start = 1 + first - long
        size = _number(data[1:start])
    if len(data) < start + size:
        msg = f"rlp: expected {size} bytes, found {len(data) - start}"
        raise InvariantError(msg)
    return data[start : start + size], data[start + size :]


def _bytes(item: Item) -> bytes:
    if isinstance(item, list):
        msg = "signed transaction: expected a field of bytes, found a list"
        raise InvariantError(msg)
    return item


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
