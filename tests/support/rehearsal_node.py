"""A node that rehearses plans as a test says, and what is read of its answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from keeper.core.chain import BlockRef, Log, Simulated, StateOverride, Transaction
from keeper.core.lending import Liquidation
from keeper.core.plan import Plan
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from keeper.executor.rehearse import Stage
from keeper.executor.settlement import TRANSFER
from tests.support.ledger_records import (
    EXECUTOR,
    USDC,
    WETH,
    account,
    block,
    hash32,
    landed,
    plan,
    submission,
)

RECIPIENT = account(77)
GAS_USED = 600_000
GAIN = 9 * WAD
FLASH_FEE = 50 * 10**6
HEAD = block(100)
FUTURE = block(101).timestamp


def word(value: Address) -> Hash32:
    return Hash32("0x" + value[2:].rjust(64, "0"))


def transfer(token: Address, sender: Address, to: Address, amount: int) -> Log:
    return Log(
        address=token,
        topics=(TRANSFER, word(sender), word(to)),
        data=amount.to_bytes(32),
        block_number=101,
        block_hash=hash32(101),
        tx_hash=hash32(1),
        index=0,
    )


def mark(of: Plan) -> Log:
    """Return a log that stands for the liquidation of a plan."""
    (one,) = landed(of, submission(of)).liquidations
    return replace(one.log, data=of.id.encode())


def done(of: Plan, *, gain: int = GAIN, gas: int = GAS_USED) -> Simulated:
    logs = (mark(of), transfer(WETH, EXECUTOR, RECIPIENT, gain))
    return Simulated(success=True, gas_used=gas, logs=logs, return_data=b"", error="")


def failed(error: str) -> Simulated:
    return Simulated(success=False, gas_used=50_000, logs=(), return_data=b"", error=error)


Answer = Callable[[Sequence[Transaction], Transaction], Simulated]


@dataclass
class Node:
    """Simulates by asking, for each transaction, what it does after those before it."""

    answer: Answer
    rounds: list[list[Transaction]] = field(default_factory=list)
    environment: tuple[BlockRef, int, int] | None = None
    overrides: Mapping[Address, StateOverride] | None = None

    async def simulate(
        self,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated]:
        self.rounds.append(list(transactions))
        self.environment, self.overrides = (base, timestamp, base_fee), overrides
        return [self.answer(transactions[:i], one) for i, one in enumerate(transactions)]


def numbered(number: int) -> Plan:
    made = plan(number)
    return replace(made, transaction=replace(made.transaction, data=bytes([number])))


ONE, TWO, THREE = numbered(1), numbered(2), numbered(3)
PLANS = {one.transaction: one for one in (ONE, TWO, THREE)}


def decoders(*, change: Callable[[Liquidation], Liquidation] = lambda one: one) -> Decoders:
    def liquidations(logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        ids = [log.data.decode() for log in logs if log.topics[0] != TRANSFER]
        found = [one for one in PLANS.values() if one.id in ids]
        return tuple(change(landed(one, submission(one)).liquidations[0]) for one in found)

    return Decoders(
        liquidations=liquidations,
        flash_fee=lambda _logs: (USDC, FLASH_FEE),
        wrapped_native=WETH,
        recipient=RECIPIENT,
    )


def stage(*ahead: Transaction) -> Stage:
    """Return what a rehearsal for the next block stands on."""
    return Stage(head=HEAD, timestamp=FUTURE, ahead=ahead, overrides={})


def succeed(_before: Sequence[Transaction], one: Transaction) -> Simulated:
    """Let each plan do what it foretold."""
    return done(PLANS[one])
