"""A restart goes on from the book on disk, and holds what a cold start would find."""

import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from keeper.app.book_file import SavedBook, load_book, save_book
from keeper.app.shelf import BOOK_MISSED, Shelf
from keeper.app.sight import Sight
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.devnet.actions import random_actions
from keeper.devnet.crash import crash
from keeper.ledger.checkpoints import Checkpoint as Kept
from keeper.mirror.checkpoint import Checkpoint
from keeper.mirror.known import scope_of
from keeper.mirror.mirror import Mirror
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from keeper.scanner.scan import scan
from tests.support.aave_scene import Scene, open_scene
from tests.support.market_node import MarketNode
from tests.support.small_disk import disk_ends_at
from tests.support.watched_reader import WatchedReader

BLOCK_S = 12


KEPT = Kept(block=7, hash=Hash32("0x" + "7e" * 32))


def silent(*_: object) -> None:
    pass


def names_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def saved(scene: Scene, path: Path) -> Kept:
    """Mirror the market at its head and write the book; return what is known with it."""
    head = await scene.chain.reader.head()
    snapshot = await Mirror(scene.adapter, scene.chain.reader).start(head, None, silent)
    sight: Sight[AaveMarket, AavePosition] = Sight(scene.adapter, block_time_s=BLOCK_S)
    sight.take(snapshot)
    assert sight.columns is not None
    known = replace(KEPT, scope=scope_of(scene.adapter, snapshot.market))
    assert save_book(path, scene.adapter.deployment, snapshot, sight.columns, known)
    assert mode_of(path) == 0o600
    return known


def anchor_of(book: SavedBook[AavePosition]) -> Checkpoint:
    """Return the block that a book is of, and where its accounts are."""
    return Checkpoint(block=book.block, hash=book.hash, accounts=(), scope=book.known.scope)


class Killed(BaseException):
    """The end of a process that puts nothing away."""


async def test_processes_that_are_killed_as_they_save_leave_one_file_that_the_next_save_takes(
    market_copy: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def kill(*_: object, **__: object) -> None:
        raise Killed

    path = tmp_path / "book"
    async with open_scene(market_copy.live, market_copy.anvil.http_url) as scene:
        with monkeypatch.context() as dying:
            dying.setattr(Path, "replace", kill)
            dying.setattr(Path, "unlink", kill)
            for process in (7, 8):
                dying.setattr(os, "getpid", lambda process=process: process)
                with pytest.raises(Killed):
                    await saved(scene, path)
        assert len(names_in(tmp_path)) == 1
        await saved(scene, path)
    assert names_in(tmp_path) == [path.name]


async def test_a_resumed_book_equals_a_cold_start_and_reads_only_what_changed(
    market_copy: MarketNode, tmp_path: Path
):
    path = tmp_path / "book"
    async with open_scene(market_copy.live, market_copy.anvil.http_url) as scene:
        known = await saved(scene, path)
        random_actions(scene.live, seed=9, count=25)
        for _ in zip(range(4), crash(scene.live), strict=False):
            pass
        head = await scene.chain.reader.head()
        book = load_book(path, scene.adapter)
        assert book is not None
        assert book.known == known
        reader = WatchedReader(reader=scene.chain.reader)
        mirror: Mirror[AaveMarket, AavePosition] = Mirror(scene.adapter, reader)
        snapshot = await mirror.resume(head, anchor_of(book), book.positions)
        assert snapshot is not None
        assert snapshot.changed is not None
        assert 0 < len(snapshot.changed) < len(snapshot.positions) // 2
        cold = await Mirror(scene.adapter, scene.chain.reader).start(head, None, silent)
        assert dict(snapshot.positions) == dict(cold.positions)
        assert snapshot.market == cold.market
        sight: Sight[AaveMarket, AavePosition] = Sight(scene.adapter, block_time_s=BLOCK_S)
        sight.resume(book.columns)
        sight.take(snapshot)
        watcher = PriceWatcher(scene.chain.reader)
        await watcher.follow(scene.adapter.feeds(snapshot.market), head)
        look = sight.look(head, snapshot, await watcher.read(head, None), "test")
        number, timestamp = head.number + 1, head.timestamp + BLOCK_S
        exact = scan(scene.adapter, look.book, number=number, timestamp=timestamp, trigger="test")
        assert exact.opportunities
        assert set(map(repr, look.found.opportunities)) == set(map(repr, exact.opportunities))


async def test_a_book_of_an_abandoned_block_is_not_used(market_copy: MarketNode, tmp_path: Path):
    path = tmp_path / "book"
    async with open_scene(market_copy.live, market_copy.anvil.http_url) as scene:
        kept = market_copy.live.rpc.call("evm_snapshot")
        market_copy.live.rpc.call("evm_mine")
        await saved(scene, path)
        market_copy.live.rpc.call("evm_revert", kept)
        market_copy.live.rpc.call("evm_increaseTime", 7)
        for _ in range(2):
            market_copy.live.rpc.call("evm_mine")
        book = load_book(path, scene.adapter)
        assert book is not None
        head = await scene.chain.reader.head()
        mirror: Mirror[AaveMarket, AavePosition] = Mirror(scene.adapter, scene.chain.reader)
        assert await mirror.resume(head, anchor_of(book), book.positions) is None


@pytest.mark.parametrize("damage", ["torn", "flipped", "vast"])
async def test_a_damaged_book_is_no_book(market_copy: MarketNode, tmp_path: Path, damage: str):
    path = tmp_path / "book"
    async with open_scene(market_copy.live, market_copy.anvil.http_url) as scene:
        await saved(scene, path)
        assert load_book(path, scene.adapter) is not None
        content = bytearray(path.read_bytes())
        if damage == "torn":
            content = content[: len(content) // 2]
        elif damage == "flipped":
            content[len(content) // 3] ^= 0xFF
        elif damage == "vast":
            content = bytearray(re.sub(rb'"shape":.', b'"shape":[999999999999999', content))
        path.write_bytes(content)
        assert load_book(path, scene.adapter) is None
        path.write_bytes(b"not a book")
        assert load_book(path, scene.adapter) is None


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class NoCheckpoints:
    """Keeps no checkpoint: the book alone is looked at."""

    async def save(self, *_: object) -> Kept:
        return KEPT


async def test_a_book_that_the_disk_does_not_take_is_missed_and_leaves_the_one_before(
    market_copy: MarketNode, tmp_path: Path
):
    path = tmp_path / "book"
    async with open_scene(market_copy.live, market_copy.anvil.http_url) as scene:
        assert load_book(path, scene.adapter) is None
        await saved(scene, path)
        before = path.read_bytes()
        head = await scene.chain.reader.head()
        mirror: Mirror[AaveMarket, AavePosition] = Mirror(scene.adapter, scene.chain.reader)
        snapshot = await mirror.start(head, None, silent)
        sight: Sight[AaveMarket, AavePosition] = Sight(scene.adapter, block_time_s=BLOCK_S)
        sight.take(snapshot)
        store: Any = NoCheckpoints()
        shelf = Shelf(scene.adapter, store, path, every_blocks=1)
        with capture_logs() as lines, disk_ends_at(len(before) // 2):
            await shelf.keep(mirror.checkpoint(0), snapshot, sight.columns)
        assert [(one["event"], one["why"]) for one in lines] == [(BOOK_MISSED, "File too large")]
    assert files_in(tmp_path) == {"book": before}
