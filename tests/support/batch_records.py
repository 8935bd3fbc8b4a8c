"""Batches for tests: three accounts in one transaction, what it logs, and how that is read."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from keeper.core.chain import Log, Simulated, Transaction, next_base_fee
from keeper.core.lending import Liquidation
from keeper.core.plan import Plan
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from keeper.executor.policy import BatchRules
from keeper.executor.verdicts import Report
from tests.support.ledger_records import EXECUTOR, USDC, WETH, liquidation
from tests.support.rehearsal_node import HEAD, ONE, RECIPIENT, THREE, TWO, Answer, failed, transfer

ACCOUNTS = (ONE, TWO, THREE)
GAINS = (9 * WAD, 7 * WAD + 1, 5 * WAD + 2)
FEES = (50 * 10**6, 0, 3)
"""Of each account's flash loan, raw USDC; nothing is a loan without a fee."""
LIQUIDATED, LENT = Hash32("0x" + "11" * 32), Hash32("0x" + "22" * 32)
ALONE_GAS, TOGETHER_GAS = 600_000, 1_300_001
"""Of one plan by itself, and of all in one transaction."""
PRICE = min(ONE.fees.max_fee, next_base_fee(HEAD) + ONE.fees.priority_fee)
ALL = BatchRules(most=10)
"""Everybody may go together."""


def merged(*plans: Plan, gas_limit: int = 2_000_000) -> Plan:
    """Return the plans as one transaction whose data is theirs in a row."""
    first, *others = plans
    data = b"".join(one.transaction.data for one in plans)
    empty = replace(first.transaction, data=b"")
    return replace(
        first,
        transaction=replace(first.transaction, data=data),
        gas_limit=gas_limit,
        companions=tuple(
            replace(one, transaction=empty, gas_limit=0, min_profit=0) for one in others
        ),
    )


@dataclass
class Merging:
    """Merges as above; takes everybody who is not named."""

    alone: frozenset[str] = frozenset()
    made: list[tuple[str, ...]] = field(default_factory=list)

    def takes(self, plan: Plan) -> bool:
        return plan.id not in self.alone

    def merge(self, plans: Sequence[Plan]) -> Plan:
        self.made.append(tuple(one.id for one in plans))
        return merged(*plans)


def marked(topic: Hash32, data: bytes) -> Log:
    return replace(transfer(USDC, EXECUTOR, EXECUTOR, 0), topics=(topic,), data=data)


def part(of: Plan, gain: int, fee: int) -> tuple[Log, ...]:
    """Return what one account's part logs: its liquidation, its loan, and its pay last."""
    return (
        transfer(USDC, EXECUTOR, EXECUTOR, 1),
        marked(LIQUIDATED, of.id.encode()),
        marked(LENT, fee.to_bytes(32)),
        transfer(WETH, EXECUTOR, EXECUTOR, gain),
        transfer(WETH, EXECUTOR, RECIPIENT, gain),
    )


def logs_of(plans: Sequence[Plan]) -> tuple[Log, ...]:
    """Return what plans log in one transaction."""
    figures = {one.id: (gain, fee) for one, gain, fee in zip(ACCOUNTS, GAINS, FEES, strict=True)}
    return tuple(log for one in plans for log in part(one, *figures[one.id]))


def simulated(plans: Sequence[Plan], gas: int) -> Simulated:
    logs = logs_of(plans)
    return Simulated(success=True, gas_used=gas, logs=logs, return_data=b"", error="")


def decoders(known: Sequence[Plan] = ACCOUNTS) -> Decoders:
    """Return how to read such logs."""
    plans = {one.id: one for one in known}

    def liquidations(logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        return tuple(
            replace(liquidation(plans[log.data.decode()], log.tx_hash), log=log)
            for log in logs
            if log.topics[0] == LIQUIDATED
        )

    def flash_fee(logs: Sequence[Log]) -> tuple[Address, int] | None:
        lent = [int.from_bytes(log.data) for log in logs if log.topics[0] == LENT]
        return (USDC, sum(lent)) if lent else None

    return Decoders(
        liquidations=liquidations,
        flash_fee=flash_fee,
        wrapped_native=WETH,
        recipient=RECIPIENT,
    )


def carried(one: Transaction) -> list[Plan]:
    """Return whose transaction it is: their data stands in a row."""
    return [plan for plan in ACCOUNTS if plan.transaction.data in one.data]


def answering(*, together: int = TOGETHER_GAS, broken: Sequence[Plan] = ()) -> Answer:
    """Let each plan hold; a batch takes so much gas, and reverts when just these are in it."""

    def answer(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        plans = carried(one)
        if list(broken) == plans:
            return failed("execution reverted: 45")
        return simulated(plans, ALONE_GAS if len(plans) == 1 else together)

    return answer


def gas_of(report: Report) -> list[int]:
    return [one.forecast.gas for one in report.shown]
