"""Find what a price is made of: from the contract that a protocol reads down to the aggregators.

An adapter (a ratio, a cap, two feeds multiplied) emits nothing when its price moves. What it reads
is found by asking it the names that Aave's adapters give their feeds (``PriceCapAdapterBase``,
``PriceCapAdapterStable``, ``CLSynchronicityPriceAdapter…``); what it does with them is never
assumed: the adapter itself is read for its price, its feeds for their age and their bounds.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.ports import Reader
from keeper.core.text import printable
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.evm.words import WORD, address_at, int_at, selector, signed_at
from keeper.oracle.chainlink import AGGREGATOR, LATEST_ROUND_DATA, Round, decode_round

DUAL_AGGREGATOR: Final = "DualAggregator"
"""How Chainlink's aggregators with a second, auctioned face begin their ``typeAndVersion``."""

_FEEDS_OF_ADAPTERS: Final = tuple(
    selector(f"{name}()")
    for name in (
        "BASE_TO_USD_AGGREGATOR",
        "ASSET_TO_USD_AGGREGATOR",
        "ASSET_TO_PEG",
        "PEG_TO_BASE",
        "BASE_TO_PEG",
    )
)
_FACTS: Final = tuple(
    selector(f"{name}()")
    for name in (
        "minAnswer",
        "maxAnswer",
        "minSubmissionValue",
        "maxSubmissionValue",
        "maxSubmissionCount",
        "typeAndVersion",
    )
)
_DEPTH: Final = 4
PROBE_GAS: Final = 300_000
"""A probe is of a contract that nobody vouched for: it may not burn what a batch has."""


class Leaf(Struct, frozen=True, kw_only=True):
    """A feed with rounds: a Chainlink proxy, or a contract that answers like one."""

    proxy: Address
    """What is read."""
    aggregator: Address
    """What emits; the proxy itself where there is nothing behind it."""
    phase: int
    low: int | None = None
    """The lowest answer that the aggregator can give, None when it does not say."""
    high: int | None = None
    kind: str = ""
    """The aggregator's ``typeAndVersion``, empty when it has none."""
    lone_submitter: bool = False
    """True when one submission is a round's answer, so that a pending one tells the next price."""
    is_late: bool = False
    """True when this proxy is the auctioned face of a Chainlink SVR aggregator."""


class _Seen(Struct, frozen=True, kw_only=True):
    aggregator: Address | None
    round: Round | None
    parts: tuple[Address, ...]


async def resolve(
    reader: Reader, block: BlockRef, roots: Collection[Address]
) -> dict[Address, tuple[Leaf, ...]]:
    """Return the feeds with rounds below each root; none for a source that has no rounds."""
    seen = await _walk(reader, block, roots)
    wanted = [address for address, one in seen.items() if one.round is not None and not one.parts]
    leaves = await _leaves(reader, block, {address: seen[address] for address in wanted})
    return {
        root: tuple(leaves[address] for address in _below(root, seen) if address in leaves)
        for root in roots
    }


async def _walk(reader: Reader, block: BlockRef, roots: Iterable[Address]) -> dict[Address, _Seen]:
    """Ask each contract what it is made of, then those, level by level."""
    seen: dict[Address, _Seen] = {}
    wanted = set(roots)
    for _ in range(_DEPTH):
        level = sorted(wanted - seen.keys())
        if not level:
            break
        found = await _look(reader, block, level)
        seen |= found
        wanted = {part for one in found.values() for part in one.parts}
    return seen


async def _look(
    reader: Reader, block: BlockRef, addresses: Sequence[Address]
) -> dict[Address, _Seen]:
    asked = (AGGREGATOR, LATEST_ROUND_DATA, *_FEEDS_OF_ADAPTERS)
    answers = await _ask(reader, block, addresses, asked)
    return {address: _seen(*answers[address]) for address in addresses}


def _seen(aggregator: CallResult, latest: CallResult, *parts: CallResult) -> _Seen:
    behind = _address(aggregator)
    below = (_address(part) for part in parts) if behind is None else ()
    return _Seen(
        aggregator=behind,
        round=decode_round(latest),
        parts=tuple(dict.fromkeys(part for part in below if part is not None)),
    )


def _below(root: Address, seen: Mapping[Address, _Seen]) -> Iterable[Address]:
    """Return a root and what is under it, each once."""
    found: dict[Address, None] = {}
    waiting = [root]
    while waiting:
        address = waiting.pop(0)
        if address in seen and address not in found:
            found[address] = None
            waiting.extend(seen[address].parts)
    return found


async def _leaves(
    reader: Reader, block: BlockRef, seen: Mapping[Address, _Seen]
) -> dict[Address, Leaf]:
    behind = {proxy: one.aggregator or proxy for proxy, one in seen.items()}
    facts = await _ask(reader, block, sorted(set(behind.values())), _FACTS)
    leaves = {}
    for proxy, aggregator in behind.items():
        *bounds, most, kind = facts[aggregator]
        name = _text(kind)
        latest = seen[proxy].round
        leaves[proxy] = Leaf(
            proxy=proxy,
            aggregator=aggregator,
            phase=latest.phase if latest else 0,
            low=_signed(bounds[0], bounds[2]),
            high=_signed(bounds[1], bounds[3]),
            kind=name,
            lone_submitter=most.success and len(most.data) == WORD and int_at(most.data, 0) == 1,
            is_late=name.startswith(DUAL_AGGREGATOR)
            and await _is_second_face(reader, block, proxy, aggregator),
        )
    return leaves


async def _is_second_face(
    reader: Reader, block: BlockRef, proxy: Address, aggregator: Address
) -> bool:
    """Return whether the aggregator answers this proxy with the auctioned rounds.

    ``DualAggregator`` 1.0.0 keeps its secondary proxy in an immutable without a getter, so that
    the address stands in the code.
    """
    return bytes.fromhex(proxy[2:]) in await reader.code(aggregator, block)


async def _ask(
    reader: Reader, block: BlockRef, addresses: Sequence[Address], functions: Sequence[bytes]
) -> dict[Address, list[CallResult]]:
    """Return the answers of each address to functions without arguments, in one batch."""
    calls = [
        Call(to=address, data=function, gas=PROBE_GAS)
        for address in addresses
        for function in functions
    ]
    results = await reader.call_many(calls, block)
    width = len(functions)
    return {address: results[i * width : (i + 1) * width] for i, address in enumerate(addresses)}


def _address(result: CallResult) -> Address | None:
    """Return the address that is the whole answer, or None."""
    if not result.success or len(result.data) != WORD or any(result.data[:12]):
        return None
    found = address_at(result.data, 0)
    return None if found == ZERO_ADDRESS else found


def _signed(*results: CallResult) -> int | None:
    """Return the first answer that is one word."""
    words = (one for one in results if one.success and len(one.data) == WORD)
    return next((signed_at(one.data, 0) for one in words), None)


def _text(result: CallResult) -> str:
    """Return an ABI string, or empty when the answer is not one."""
    if not result.success or len(result.data) < 2 * WORD:
        return ""
    start = int_at(result.data, 0) + WORD
    length = int_at(result.data[start - WORD :], 0)
    return printable(result.data[start : start + length])
