"""What a node's JSON-RPC error means. The codes differ by client; the words decide."""

import re
from enum import Enum

from keeper.chain.jsonrpc import NodeError


class Meaning(Enum):
    """The kinds of error that ask for different remedies."""

    FAILED = "the call ran and failed: a result"
    STALE = "the node does not know the block"
    LIMITED = "too many requests"
    TOO_WIDE = "too many logs, or too many blocks at once"
    BUSY = "the node could not answer now"
    REFUSED = "anything else: a definite no"


_LONGEST_WISH_S = 1e9
_RATE_LIMIT_CODES = frozenset({-32005, 429, -32097, -32029})
_REVERT_CODE = 3

_REVERTED = re.compile(r"execution reverted|vm exception", re.IGNORECASE)
"""What follows these words is a contract's own, which may sound like a node's."""
_FAILED = re.compile(
    r"\brevert|out of gas|outofgas|invalid opcode|opcodenotfound"
    r"|stack (under|over)flow|invalid jump|gas required exceeds|evm error|execution failed"
    r"|intrinsic gas too (high|low)|execution aborted|vm execution error"
    r"|stack limit reached|return data out of bounds|gas uint64 overflow|max initcode size"
    r"|invalid input length|elliptic curve pairing",
    re.IGNORECASE,
)
_STALE = re.compile(
    r"(header|block|resource) not found|unknown block|blockoutofrange|missing trie node"
    r"|not (currently )?canonical|state (is )?not available|(historical|required) state"
    r"|hash .* is not|after last accepted block|cannot query unfinalized"
    # Of a block whose state a node that is no archive has no more: Nethermind, reth, Erigon, Besu.
    r"|no state available|state at block .* is pruned|due to pruning|world state unavailable",
    re.IGNORECASE,
)
_LIMITED = re.compile(
    r"rate.?limit|too many requests|request limit|capacity|throughput|daily (request )?limit",
    re.IGNORECASE,
)
_TOO_WIDE = re.compile(
    r"more than \d+ (results|logs)|too many (results|logs|blocks)|block range|range (is )?too"
    r"|range limit|response size|limited to|max(imum)? (results|logs|blocks)|query timeout"
    r"|result window|too large|exceeds? (the )?(max|limit)|query returned more",
    re.IGNORECASE,
)
_BUSY = re.compile(
    r"timed? ?out|timeout|temporar|try again|unavailable|overload|busy|syncing", re.IGNORECASE
)

_UNSAID = re.compile(
    r"internal (server )?error|upstream|gateway|connection|context (deadline|cancel)|\beof\b"
    r"|request failed|timed? ?out|timeout|temporar|try again|unavailable|overload|server error",
    re.IGNORECASE,
)


def is_unsaid(words: str) -> bool:
    """Return whether an error tells of the way to who decides: that one may have said yes."""
    return _UNSAID.search(words) is not None


def meaning(method: str, error: NodeError) -> Meaning:
    """Return what an error in reply to ``method`` means."""
    text = error.message
    if method == "eth_getLogs" and _TOO_WIDE.search(text):
        return Meaning.TOO_WIDE
    reverted = error.code == _REVERT_CODE or _REVERTED.search(text)
    if error.code in _RATE_LIMIT_CODES or (_LIMITED.search(text) and not reverted):
        return Meaning.LIMITED
    if reverted or _FAILED.search(text):
        return Meaning.FAILED
    if _STALE.search(text):
        return Meaning.STALE
    if _BUSY.search(text) or is_unsaid(text):
        return Meaning.BUSY
    return Meaning.REFUSED


def error_bytes(error: NodeError) -> bytes:
    """Return the revert data of a failed call, empty when the node gave none."""
    data = error.data
    if isinstance(data, dict):  # some clients nest it
        data = data.get("data") or data.get("result")
    if not isinstance(data, str):
        return b""
    digits = data.removeprefix("Reverted ").removeprefix("0x")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""


def wished_wait_s(data: object) -> float | None:
    """Return the seconds to wait that a rate-limit error names, as Infura's ``data`` does."""
    if not isinstance(data, dict):
        return None
    rate = data.get("rate")
    seconds = rate.get("backoff_seconds") if isinstance(rate, dict) else data.get("retry_after")
    if not isinstance(seconds, int | float):
        return None
    return float(min(max(seconds, 0), _LONGEST_WISH_S))
