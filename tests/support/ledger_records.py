"""Records for the ledger's tests: plans, submissions and outcomes with what matters to say."""

from dataclasses import dataclass
from pathlib import Path

from keeper.core.accounting import Waterfall, gas_only
from keeper.core.chain import BlockRef, Fees, Log, Transaction
from keeper.core.lending import (
    AccountRef,
    AssetValue,
    Health,
    Liquidation,
    Option,
    Reason,
    Rejection,
    SeizeQuote,
    Valuation,
)
from keeper.core.plan import (
    Funding,
    Opportunity,
    Outcome,
    Plan,
    Status,
    Submission,
)
from keeper.core.taken import Asset, Cause, Taken
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.evm.hashing import keccak256
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.store import ChainIdentity

WETH = Address("0x" + "ee" * 20)
USDC = Address("0x" + "dc" * 20)
OPERATOR = Address("0x" + "0a" * 20)
EXECUTOR = Address("0x" + "0e" * 20)
MARKET = "pool"
DEPLOYMENT = "aave_v3.local"
FEES = Fees(max_fee=30 * 10**9, priority_fee=10**9)
CHAIN = ChainIdentity(chain_id=31337, genesis_hash=Hash32("0x" + "9e" * 32))
VALUATION = Valuation(
    assets={
        WETH: AssetValue(symbol="WETH", price=2_000 * 10**8, unit=10**18),
        USDC: AssetValue(symbol="USDC", price=10**8, unit=10**6),
    },
    native_price=2_000 * 10**8,
)
FORECAST = Waterfall(
    penalty=10 * WAD,
    protocol_fee=WAD,
    swap_cost=WAD // 2,
    flash_fee=WAD // 10,
    gas=WAD // 100,
    tip=0,
    net=10 * WAD - WAD - WAD // 2 - WAD // 10 - WAD // 100,
)


@dataclass
class HandClock:
    """A clock that a test turns by hand."""

    seconds: float = 1_700_000_000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def account(index: int) -> Address:
    return Address(f"0x{index:040x}")


def hash32(index: int) -> Hash32:
    return Hash32(f"0x{index:064x}")


def block(number: int) -> BlockRef:
    return BlockRef(
        number=number,
        hash=hash32(number),
        parent_hash=hash32(number - 1),
        timestamp=1_700_000_000 + 12 * number,
        base_fee=10**9,
        gas_used=15_000_000,
        gas_limit=30_000_000,
    )


def plan(borrower: int = 1, *, head: int = 100, deployment: str = DEPLOYMENT) -> Plan:
    ref = AccountRef(market=MARKET, account=account(borrower))
    option = Option(collateral=WETH, debt=USDC, max_repay=2**200)
    return Plan(
        id=f"{deployment}-{borrower}-{head}",
        deployment=deployment,
        opportunity=Opportunity(
            ref=ref,
            block=block(head),
            timestamp=block(head + 1).timestamp,
            health=Health(
                health_factor=WAD - 1,
                liquidatable=True,
                collateral_base=10**12,
                debt_base=9 * 10**11,
            ),
            options=(option,),
            trigger="price of WETH",
        ),
        option=option,
        quote=SeizeQuote(repay=100_000 * 10**6, seized=60 * WAD, protocol_fee=WAD // 4),
        funding=Funding(
            source="aave_v3",
            lender=EXECUTOR,
            asset=USDC,
            amount=100_000 * 10**6,
            fee=50 * 10**6,
            gas=120_000,
        ),
        route=(),
        transaction=Transaction(sender=OPERATOR, to=EXECUTOR, data=b"\x01\x02"),
        gas_limit=700_000,
        fees=FEES,
        tip=0,
        min_profit=WAD,
        deadline=block(head + 10).timestamp,
        forecast=FORECAST,
        valuation=VALUATION,
    )


def submission(of: Plan, *, nonce: int = 0, replacement: int = 0) -> Submission:
    seed = f"{of.id} {nonce} {replacement}".encode()
    tx_index = int.from_bytes(keccak256(seed)[:16], "big")
    return Submission(
        plan_id=of.id,
        sender=OPERATOR,
        nonce=nonce,
        tx_hash=hash32(tx_index),
        raw=b"\x02" + tx_index.to_bytes(16, "big"),
        fees=FEES,
        target_block=of.opportunity.block.number + 1,
    )


def liquidation(of: Plan, tx_hash: Hash32) -> Liquidation:
    log = Log(
        address=EXECUTOR,
        topics=(hash32(1),),
        data=b"",
        block_number=of.opportunity.block.number + 1,
        block_hash=hash32(of.opportunity.block.number + 1),
        tx_hash=tx_hash,
        index=0,
    )
    return Liquidation(
        ref=of.ref,
        collateral=of.option.collateral,
        debt=of.option.debt,
        liquidator=EXECUTOR,
        repaid=of.quote.repay,
        seized=of.quote.seized,
        protocol_fee=of.quote.protocol_fee,
        tx_hash=tx_hash,
        log=log,
    )


def landed(of: Plan, sent: Submission, *, shortfall: int = 0) -> Outcome:
    """An outcome that brought ``shortfall`` wei less than forecast."""
    realised = replace(
        FORECAST, swap_cost=FORECAST.swap_cost + shortfall, net=FORECAST.net - shortfall
    )
    return Outcome(
        plan_id=of.id,
        status=Status.LANDED,
        tx_hash=sent.tx_hash,
        block=of.opportunity.block.number + 1,
        gas_used=600_000,
        realised=realised,
        liquidations=(liquidation(of, sent.tx_hash),),
    )


def ended(of: Plan, status: Status, *, gas: int = 0, tx_hash: Hash32 | None = None) -> Outcome:
    return Outcome(
        plan_id=of.id,
        status=status,
        tx_hash=tx_hash,
        block=None,
        gas_used=0,
        realised=gas_only(gas),
        liquidations=(),
        detail="for a reason",
    )


def rejection(borrower: int, reason: Reason, *, block: int, net: int = -1) -> Rejection:
    ref = AccountRef(market=MARKET, account=account(borrower))
    return Rejection(ref=ref, block=block, reason=reason, detail="pool is dry", net_wei=net)


async def opened(
    folder: Path, *, clock: HandClock | None = None, identity: ChainIdentity = CHAIN
) -> SqliteJournal:
    return await SqliteJournal.open(folder / "keeper.sqlite", identity, clock=clock or HandClock())


def taken(number: int, *, block: int = 101, deployment: str = DEPLOYMENT) -> Taken:
    """Return a liquidation by somebody else, each figure another one."""
    return Taken(
        deployment=deployment,
        ref=plan(number).ref,
        block=block,
        block_hash=hash32(block),
        tx_hash=hash32(1_000 + number),
        log_index=number,
        place=3,
        liquidator=account(66),
        collateral=Asset(address=WETH, symbol="WETH", unit=10**18),
        debt=Asset(address=USDC, symbol="USDC", unit=10**6),
        repaid=2**200 + number,
        seized=2**201,
        penalty=10 * WAD,
        protocol_fee=WAD,
        gas=2**70,
        cause=Cause.OUTRUN,
        detail="theirs was first",
        forecast_net=-5,
    )
