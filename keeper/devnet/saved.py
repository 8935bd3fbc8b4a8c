"""Large markets, built once and kept in the user's cache: state of the node, and the market."""

import gzip
import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.assets import ASSETS, opening_prices
from keeper.devnet.borrowers import open_positions, supply_liquidity
from keeper.devnet.build import (
    BLOCK_GAS_LIMIT,
    BLOCK_INTERVAL_S,
    BUILD_GAS_LIMIT,
    build_market,
    settle_node,
)
from keeper.devnet.live import LiveMarket, open_live
from keeper.devnet.market import LocalMarket, load_market
from keeper.devnet.packages import Progress, cache_root, quiet
from keeper.devnet.population import draw_population
from keeper.devnet.prices import push_prices
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender

PART = 10_000
"""Positions that one node opens before its state is taken over by a fresh one."""

_BEFORE_ANY = 1_500_000_000
"""Unix seconds before any market was built."""


class SavedMarket(Struct, frozen=True, kw_only=True):
    """Where a market is kept."""

    state: Path
    market: Path


def ensure_saved(
    binary: Path, *, seed: int, borrowers: int, part: int = PART, progress: Progress = quiet
) -> SavedMarket:
    """Return a market of this seed and size from the cache, building it first when it is new.

    It is built in parts, each on a node of its own: what a node keeps besides its state, the call
    traces, is nearly all of its memory.
    """
    folder = cache_root() / "markets"
    name = f"{seed}-{borrowers}-{_recipe()}"
    saved = SavedMarket(state=folder / f"{name}.state.gz", market=folder / f"{name}.json")
    if saved.state.is_file() and saved.market.is_file():
        return saved
    folder.mkdir(parents=True, exist_ok=True)
    progress(f"building a market of {borrowers:,} borrowers, once")
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as temporary:
        work = SavedMarket(state=Path(temporary) / "state", market=Path(temporary) / "market")
        _build_part(binary, work, seed=seed, borrowers=min(borrowers, part), progress=progress)
        for opened in range(part, borrowers, part):
            more = min(borrowers - opened, part)
            progress(f"{opened:,} of {borrowers:,} borrowers kept, {more:,} more")
            _add_part(binary, work, seed=seed + opened, borrowers=more, progress=progress)
        work.state.rename(saved.state)
        work.market.rename(saved.market)
    return saved


def start_saved(
    binary: Path, saved: SavedMarket, options: AnvilOptions | None = None
) -> tuple[Anvil, LocalMarket]:
    """Start anvil with a saved market in it, and mine a block."""
    anvil, market = resume_saved(binary, saved, options)
    try:
        with closing(Rpc(anvil.http_url)) as rpc:
            settle_node(rpc)
    except BaseException:
        anvil.stop()
        raise
    return anvil, market


def resume_saved(
    binary: Path, saved: SavedMarket, options: AnvilOptions | None = None
) -> tuple[Anvil, LocalMarket]:
    """Start anvil at a saved market's last block; its clock goes on where the market's stopped."""
    market = load_market(saved.market)
    # A clock that starts before any market was built: anvil's never goes back.
    early = replace(options or AnvilOptions(ipc=True), timestamp=_BEFORE_ANY)
    anvil = start_anvil(binary, early)
    try:
        with closing(Rpc(anvil.http_url)) as rpc:
            rpc.call("anvil_loadState", "0x" + saved.state.read_bytes().hex())
            latest = int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
            rpc.call("anvil_setBlockTimestampInterval", BLOCK_INTERVAL_S)
            rpc.call("evm_setNextBlockTimestamp", latest + BLOCK_INTERVAL_S)
            rpc.call("evm_setBlockGasLimit", hex(BLOCK_GAS_LIMIT))
    except BaseException:
        anvil.stop()
        raise
    return anvil, market


def enlarge_market(
    live: LiveMarket, *, seed: int, borrowers: int, progress: Progress = quiet
) -> LocalMarket:
    """Open more positions on a market whose prices are those it was built with."""
    rpc, market = live.rpc, live.market
    rpc.batch([("evm_setAutomine", [False]), ("evm_setBlockGasLimit", [hex(BUILD_GAS_LIMIT)])])
    positions = draw_population(seed, borrowers)
    push_prices(live, opening_prices())
    supplier = Sender.of(rpc, market.accounts.supplier)
    supply_liquidity(supplier, live.pool, live.tokens, positions)
    supplier.mine()
    opened: Sequence[Address] = open_positions(
        Sender.of(rpc, market.accounts.deployer),
        live.borrower_factory,
        live.tokens,
        positions,
        already=len(market.borrowers),
        progress=progress,
    )
    push_prices(live, {symbol: spec.price for symbol, spec in ASSETS.items()})
    settle_node(rpc)
    ready = int(rpc.call("eth_blockNumber"), 16)
    return replace(market, ready_block=ready, borrowers=(*market.borrowers, *opened))


def save_state(rpc: Rpc, path: Path) -> None:
    """Write the node's state, blocks and logs, compressed, without the traces of its calls."""
    packed = bytes.fromhex(rpc.call("anvil_dumpState")[2:])
    path.write_bytes(gzip.compress(strip_traces(gzip.decompress(packed)), compresslevel=1))


def strip_traces(state: bytes) -> bytes:
    """Return a dumped state without call traces, which are nearly all of it."""
    content = msgspec.json.decode(state, type=dict[str, msgspec.Raw])
    transactions = msgspec.json.decode(content["transactions"], type=list[dict[str, msgspec.Raw]])
    for transaction in transactions:
        info = msgspec.json.decode(transaction["info"], type=dict[str, msgspec.Raw])
        info["traces"] = msgspec.Raw(b"[]")
        transaction["info"] = msgspec.Raw(msgspec.json.encode(info))
    content["transactions"] = msgspec.Raw(msgspec.json.encode(transactions))
    return msgspec.json.encode(content)


def _build_part(
    binary: Path, saved: SavedMarket, *, seed: int, borrowers: int, progress: Progress
) -> None:
    with start_anvil(binary) as anvil:
        market = build_market(anvil.http_url, seed=seed, borrowers=borrowers, progress=progress)
        _keep(anvil, saved, market)


def _add_part(
    binary: Path, saved: SavedMarket, *, seed: int, borrowers: int, progress: Progress
) -> None:
    anvil, market = start_saved(binary, saved)
    with anvil:
        live = open_live(market, anvil.http_url)
        with closing(live.rpc):
            larger = enlarge_market(live, seed=seed, borrowers=borrowers, progress=progress)
        _keep(anvil, saved, larger)


def _keep(anvil: Anvil, saved: SavedMarket, market: LocalMarket) -> None:
    with closing(Rpc(anvil.http_url)) as rpc:
        save_state(rpc, saved.state)
    market.save(saved.market)


def _recipe() -> str:
    """Return a digest of everything that decides what is built."""
    digest = hashlib.sha256()
    folder = Path(str(files("keeper.devnet")))
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".py", ".toml", ".json", ".js"}:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
