"""What a head brings besides gives way to whoever is being planned for."""

import asyncio
from types import SimpleNamespace
from typing import Any

from keeper.app.acting import Acting
from tests.support.eventually import PATIENCE_S


def acting() -> Acting[Any, Any]:
    nobody: Any = None
    return Acting(
        adapter=nobody,
        planning=nobody,
        executor=nobody,
        journal=nobody,
        watcher=nobody,
        appraiser=nobody,
        parity=nobody,
        aim=nobody,
        decoders=nobody,
        min_debt_base=0,
        part=1,
        observer=nobody,
    )


def look(*opportunities: str) -> Any:
    return SimpleNamespace(found=SimpleNamespace(opportunities=opportunities))


async def test_a_look_that_found_nobody_holds_nothing_up() -> None:
    idle = acting()
    idle.offer(look())
    await idle.give_way(PATIENCE_S)


async def test_a_look_that_found_somebody_holds_it_up_until_acting_is_done() -> None:
    busy = acting()
    busy.offer(look("somebody"))
    waiting = asyncio.ensure_future(busy.give_way(PATIENCE_S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    busy.close()
    await busy.run()
    await waiting


async def test_it_is_not_held_up_for_longer_than_is_said() -> None:
    busy = acting()
    busy.offer(look("somebody"))
    await busy.give_way(0.0)
