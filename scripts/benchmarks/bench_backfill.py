"""Read history: pages of logs to borrowers and exact words, against web3.py on the same pages."""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import msgspec
from web3 import Web3
from web3.providers.base import JSONBaseProvider

from benchmarks.children import compiled
from benchmarks.children import run as run_python
from benchmarks.machine import THERE, at_least_there, steadily
from benchmarks.rows import Row, at_least, interleaved, progress, within
from keeper.chain.log_pages import SlimLogRecord, columns_of
from keeper.core.log_columns import LogColumns, joined
from keeper.core.units import Address
from keeper.protocols.aave_v3.events import BORROW, POOL_ACCOUNTS

_PAGE = 10_000
_POOL = Address("0x" + "ab" * 20)
_RATIO_GOAL = 80
_PER_SECOND_GOAL = 300_000
_IMPORT_SHARE = 1 / 5
_ABI = [
    {
        "anonymous": False,
        "type": "event",
        "name": "Borrow",
        "inputs": [
            {"indexed": True, "name": "reserve", "type": "address"},
            {"indexed": False, "name": "user", "type": "address"},
            {"indexed": True, "name": "onBehalfOf", "type": "address"},
            {"indexed": False, "name": "amount", "type": "uint256"},
            {"indexed": False, "name": "interestRateMode", "type": "uint8"},
            {"indexed": False, "name": "borrowRate", "type": "uint256"},
            {"indexed": True, "name": "referralCode", "type": "uint16"},
        ],
    }
]


def run(*, quick: bool) -> Iterator[Row]:
    """Yield the rows: decoding alone, then all of a long history, then what imports cost."""
    progress("making pages of logs ...")
    yield from _page(_PAGE // 10 if quick else _PAGE, rounds=2 if quick else 5)
    if not quick:
        yield from _history(100)
    yield from _imports(2 if quick else 5)


def _page(logs: int, *, rounds: int) -> Iterator[Row]:
    """Compare decoding of one page, in turns."""
    page = make_page(logs, seed=1)
    reply = b'{"jsonrpc":"2.0","id":1,"result":' + page + b"}"
    web3 = Web3(_Canned(reply))
    event = web3.eth.contract(Web3.to_checksum_address(_POOL), abi=_ABI).events.Borrow()

    def usual() -> list[int]:
        found = web3.eth.get_logs({"address": Web3.to_checksum_address(_POOL)})
        return [event.process_log(one)["args"]["amount"] for one in found]

    variants: dict[str, Callable[[], object]] = {
        "JSON to borrowers and exact words": lambda: take([page]),
        "JSON to records alone": lambda: msgspec.json.decode(page, type=list[SlimLogRecord]),
        "get_logs and process_log, web3.py": usual,
    }
    _check(page, usual())
    times = interleaved(variants, rounds)
    ours, floor = times["JSON to borrowers and exact words"], times["JSON to records alone"]
    theirs = times["get_logs and process_log, web3.py"]
    ratio = theirs[0] / ours[0]
    met, note = at_least(_RATIO_GOAL, ratio, "x")
    yield Row(
        bench="backfill",
        variant="JSON to borrowers and exact words",
        n=logs,
        p50_us=ours[0],
        p99_us=ours[1],
        value=f"{logs / ours[0] * 1e6:,.0f} logs/s, {ours[0] / logs:.2f} us each",
        against="web3.py get_logs and process_log",
        ratio=ratio,
        goal=f">= {_RATIO_GOAL}x",
        met=met,
        note=note,
    )
    yield Row(
        bench="backfill",
        variant="of which JSON decoding",
        n=logs,
        p50_us=floor[0],
        p99_us=floor[1],
        value=f"{floor[0] / ours[0]:.0%} of it",
    )
    yield Row(
        bench="backfill",
        variant="get_logs and process_log, web3.py",
        n=logs,
        p50_us=theirs[0],
        p99_us=theirs[1],
        value=f"{logs / theirs[0] * 1e6:,.0f} logs/s, {theirs[0] / logs:.0f} us each",
    )


def _history(pages: int) -> Iterator[Row]:
    """Take a million logs, page by page."""
    some = [make_page(_PAGE, seed=seed) for seed in range(4)]
    progress(f"{pages * _PAGE:,} logs ...")
    took, machine = steadily(lambda: _seconds([some[i % len(some)] for i in range(pages)]))
    per_second = pages * _PAGE / took
    met, note = at_least_there(_PER_SECOND_GOAL, per_second, " logs/s")
    yield Row(
        bench="backfill",
        variant="a million logs, one core, exact",
        n=pages * _PAGE,
        p50_us=took * 1e6,
        value=f"{per_second:,.0f} logs/s",
        goal=f">= {_PER_SECOND_GOAL:,} logs/s{THERE}",
        met=met,
        note=note,
        machine=machine,
    )


def _seconds(pages: list[bytes]) -> float:
    started = time.perf_counter()
    take(pages)
    return time.perf_counter() - started


def _imports(rounds: int) -> Iterator[Row]:
    """Compare what it costs to import the watching part of Keeper, and web3."""
    ours = "import keeper.app.sight, keeper.chain.session, keeper.protocols.aave_v3.adapter, uvloop"

    with compiled() as environment:
        variants = {
            "nothing": partial(run_python, environment, "-c", ""),
            "ours": partial(run_python, environment, "-c", ours),
            "web3": partial(run_python, environment, "-c", "import web3"),
        }
        for start in variants.values():  # the first one compiles
            start()
        times = interleaved(variants, rounds)
    base = times["nothing"][0]
    mine, theirs = times["ours"][0] - base, times["web3"][0] - base
    met, note = within(_IMPORT_SHARE, mine / theirs, "of import web3")
    yield Row(
        bench="backfill",
        variant="imports of the watching part",
        n=1,
        p50_us=mine,
        against="import web3",
        ratio=theirs / mine,
        goal="<= 1/5 of import web3",
        met=met,
        note=note,
    )


def take(pages: list[bytes]) -> tuple[set[Address], int]:
    """Return who borrowed, and how many words were read, as exact integers of four limbs."""
    parts: list[LogColumns] = []
    words = 0
    for page in pages:
        columns = columns_of(msgspec.json.decode(page, type=list[SlimLogRecord]))
        words += columns.words(columns.rows(_POOL, BORROW)).size // 4
        parts.append(columns)
    whole = joined(parts)
    return whole.addresses(whole.rows(_POOL, BORROW), POOL_ACCOUNTS[BORROW]), words


def _check(page: bytes, expected: list[int]) -> None:
    """Hold our words to web3's."""
    columns = columns_of(msgspec.json.decode(page, type=list[SlimLogRecord]))
    limbs = columns.words(columns.rows(_POOL, BORROW))[:, 1].tolist()
    found = [a << 192 | b << 128 | c << 64 | d for a, b, c, d in limbs]
    if found != expected:
        raise AssertionError("the same amounts from both")


def make_page(logs: int, *, seed: int) -> bytes:
    """Return a page of ``Borrow`` logs as a node sends it."""
    random = Random(seed)  # noqa: S311 - a benchmark, not a secret
    page = [
        {
            "address": _POOL,
            "topics": [
                BORROW,
                f"0x{random.getrandbits(160):064x}",
                f"0x{random.randrange(50_000) * 2**64 + 2**150:064x}",
                f"0x{0:064x}",
            ],
            "data": "0x"
            f"{random.getrandbits(160):064x}{random.getrandbits(90):064x}"
            f"{2:064x}{random.getrandbits(88):064x}",
            "blockHash": f"0x{random.getrandbits(256):064x}",
            "blockNumber": hex(16_000_000 + i // 8),
            "blockTimestamp": hex(1_700_000_000 + i),
            "transactionHash": f"0x{random.getrandbits(256):064x}",
            "transactionIndex": hex(i % 200),
            "logIndex": hex(i % 500),
            "removed": False,
        }
        for i in range(logs)
    ]
    return json.dumps(page, separators=(",", ":")).encode()


class _Canned(JSONBaseProvider):
    """A provider that has the node's bytes at hand, so that nothing but decoding is measured."""

    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self._reply = reply

    def make_request(self, method: object, params: object) -> object:  # noqa: ARG002 - web3's
        """Decode the reply; the chain's id is asked for in passing."""
        if method == "eth_chainId":
            return {"jsonrpc": "2.0", "id": 1, "result": "0x1"}
        return self.decode_rpc_response(self._reply)
