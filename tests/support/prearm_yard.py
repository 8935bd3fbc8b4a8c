"""A prearm over a real journal and real signatures, and a node whose socket is open."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

from keeper.core.primed import Primed
from keeper.core.tick import Tick
from keeper.core.values import replace
from keeper.evm.signed_transaction import decode_signed
from keeper.executor.desks import Desks
from keeper.executor.flight import Flight
from keeper.executor.lanes.mempool import MempoolLane
from keeper.executor.nonce import NonceKeeper
from keeper.executor.policy import Exposure, Limits
from keeper.executor.prearm import Prearm
from keeper.executor.salvo import Salvo, Shot
from keeper.executor.signing import SigningDesk
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import DEPLOYMENT, opened, plan
from tests.support.signed_plans import SIGNER

FEED, PRICE, BLOCK = "eth", 1_500, 101
FIRST = 5
LIMITS = Limits(
    min_profit=1,
    max_gas_price=10**12,
    max_gas_per_tx=10**19,
    max_gas_per_hour=10**20,
    max_gas_per_day=10**20,
    max_in_flight=10,
    min_balance=0,
)
SPENT = Exposure(
    spent_hour=0,
    spent_day=0,
    at_stake=0,
    in_flight=0,
    busy=frozenset(),
    balances={SIGNER.address: 10**24},
)


class BugError(Exception):
    """Something that nobody foresaw."""


@dataclass
class PostingWire(FakeWire):
    """A node whose socket is open: what is posted is with it at once."""

    posted: list[bytes] = field(default_factory=list)

    is_open: bool = True

    def prime_raw(self, raw):
        def write():
            self.posted += [raw] * self.is_open
            return self.is_open

        return Primed(write=write, touch=lambda: True, answer=lambda: self.send_raw(raw))


def salvo(*shots, feed=FEED):
    return Salvo(feed=feed, falls=True, shots=shots, lowest=1_000, highest=2_000, block=100)


class Yard:
    """Such a prearm, with what it stands on; what it books is kept."""

    def __init__(self, journal):
        self.journal = journal
        self.wire = PostingWire(used=FIRST)
        self.flight = Flight()
        self.halted = None
        nonces = NonceKeeper(self.wire, SIGNER.address)
        self.desk = SigningDesk(chain_id=31337, signer=SIGNER, wire=self.wire, nonces=nonces)
        self.made = 0
        self.booked = []
        self.booked_one = asyncio.Queue()

        async def book(plans, submissions, deliveries):
            for one in zip(plans, submissions, deliveries, strict=True):
                self.booked.append(one)
                self.booked_one.put_nowait(one)

        self.over_totals = False
        self.executor = SimpleNamespace(
            flight=self.flight,
            standing=self,
            book=book,
            over_totals=lambda _: self.over_totals,
        )
        self.armament = SimpleNamespace(desks=Desks([self.desk]), lane=MempoolLane(self.wire))
        self.prearm = Prearm(self.executor, self.armament, journal=journal, limits=LIMITS)

    async def load(self, many=2, *, first=FIRST):
        await self.desk.nonces.take(1, ())
        self.shots = [self.shot(index, first + index) for index in range(many)]
        await self.prearm.load(DEPLOYMENT, [salvo(*self.shots)], SPENT)

    def limited(self, **limits):
        """Hold it to other limits."""
        self.prearm._limits = replace(LIMITS, **limits)

    def shot(self, index, nonce):
        one = plan(index + 1)
        self.made += 1
        one = replace(one, id=f"{one.id}@{self.made}")
        one = replace(
            one,
            transaction=replace(one.transaction, sender=SIGNER.address, data=bytes([index])),
        )
        submission = self.desk.sign_ahead(one, nonce=nonce, target_block=102, lane="mempool")
        return Shot(
            plan=one,
            submission=submission,
            price=PRICE - index,
            is_under=lambda _: False,
            feeds=frozenset({FEED}),
        )

    def fire(self, price=PRICE, block=BLOCK):
        return self.prearm.fire(DEPLOYMENT, FEED, price, block, Tick())

    async def settle(self, many=None):
        """Let the bookkeeping of all that was fired go through."""
        running = asyncio.ensure_future(self.prearm.aftermath.run())
        for _ in range(many or len(self.flight.airborne)):
            booked = asyncio.ensure_future(self.booked_one.get())
            await asyncio.wait((booked, running), return_when=asyncio.FIRST_COMPLETED)
            if not booked.done():
                booked.cancel()
                await running
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def nonces(self):
        return [decode_signed(raw, sender=SIGNER.address).nonce for raw in self.wire.posted]


@asynccontextmanager
async def yard_in(folder):
    """A yard whose journal is in that folder."""
    journal = await opened(folder)
    yield Yard(journal)
    await journal.close()


async def statuses(journal):
    return [one.status for one in await journal.open_intents()]
