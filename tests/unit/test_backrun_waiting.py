"""Which pending updates are acted on when they come faster than that."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.backrun import Backrun
from keeper.core.pending import Lead
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.ledger_records import account, block, hash32

ORACLE, RIVAL, OTHER = (account(number) for number in (1, 2, 3))


class Followed:
    """Acts on one update after the other, each for as long as it is not told to go on."""

    def __init__(self) -> None:
        self.leads: list[bytes] = []
        self.may_go_on = asyncio.Event()

    async def follow(self, _: object, lead: Lead) -> list[Any]:
        self.leads.append(lead.raw)
        await self.may_go_on.wait()
        return []

    async def raw(self, tx_hash: str) -> bytes:
        return bytes.fromhex(tx_hash[2:])


def update(sender: str, number: int, *, height: int = 7) -> Any:
    transaction = SimpleNamespace(
        hash=hash32(number), sender=sender, to=account(9), data=b"", value=0
    )
    snapshot = SimpleNamespace(block=block(height))
    foresight = SimpleNamespace(under=("somebody",))
    return SimpleNamespace(transaction=transaction, foresight=foresight, snapshot=snapshot)


async def acted_on(monkeypatch: pytest.MonkeyPatch, *updates: Any) -> list[int]:
    """Return the updates that are followed, when all but the first come while that is."""
    followed: Any = Followed()
    made = Backrun[Any, Any](followed, followed, followed, followed, block_time_s=12)
    monkeypatch.setattr(made, "_look", lambda *_: None)
    running = asyncio.ensure_future(made.run())
    made.offer(updates[0])
    await eventually(lambda: bool(followed.leads))
    for one in updates[1:]:
        made.offer(one)
    followed.may_go_on.set()
    await eventually(lambda: not made._mail.is_waiting)
    await asyncio.sleep(0)
    made.close()
    await asyncio.wait_for(running, PATIENCE_S)
    return [int.from_bytes(one) for one in followed.leads]


async def test_what_others_send_does_not_displace_an_update_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = update(RIVAL, 1), update(ORACLE, 2), update(OTHER, 3)
    assert await acted_on(monkeypatch, *sent) == [1, 2, 3]


async def test_of_one_sender_the_newest_update_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = update(RIVAL, 1), update(OTHER, 2), update(ORACLE, 3), update(OTHER, 4)
    assert await acted_on(monkeypatch, *sent) == [1, 4, 3]


async def test_what_waits_since_before_a_block_is_left_for_what_came_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = update(RIVAL, 1), update(OTHER, 2), update(ORACLE, 3, height=8)
    assert await acted_on(monkeypatch, *sent) == [1, 3]
