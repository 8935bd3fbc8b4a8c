"""Programs of every shape earn what quoters and events say, to the wei, at the gas on record.

The forecast is made without the executor: what Aave's events say was seized, less what QuoterV2 (or
Uniswap V2's own formula) asks for what is owed. The gas is compared with
``contracts/gas-snapshot.json``, which ``scripts/gas_snapshot`` writes anew.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from keeper.core.values import replace
from keeper.devnet.contract import Contract
from keeper.devnet.live import LiveMarket, under_water
from keeper.devnet.sender import Sender, read
from keeper.devnet.uniswap_v2 import deploy_uniswap_v2, open_pair
from keeper.evm.hashing import keccak256
from keeper.evm.program import BalanceOf, Known, PairSwap, Step, Swap
from tests.support.executor_crash import Crashed
from tests.support.executor_market import (
    Loan,
    everything,
    exchange_fee,
    exchange_pool,
    flash,
    liquidation,
    loans,
    program,
    repay_leg,
)
from tests.support.gas_record import on_record

THIN = 3_000
STABLES = ("USDC", "USDT", "DAI")
LIQUIDATED = (
    "0x" + keccak256(b"LiquidationCall(address,address,address,uint256,uint256,address,bool)").hex()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a program did before it was undone: WETH seized and earned, debt repaid, gas."""

    seized: int
    repaid: Mapping[str, int]
    """By symbol. The protocol takes less than it is offered where the collateral does not reach."""
    earned: int
    calls: int
    gas: int


def carry_out(crashed: Crashed, steps: Sequence[Step]) -> Done:
    """Run a program, say what it did, and undo it, so that what it met can still be asked for."""
    live, stage = crashed.live, crashed.stage
    kept, before = stage.rpc.call("evm_snapshot"), crashed.earned()
    landed = stage.run(program(live, *steps))
    logs = stage.rpc.call("eth_getLogs", {"address": live.market.pool, "topics": [LIQUIDATED]})
    stage.assert_clean(*everything(live))
    symbols = {asset.token: asset.symbol for asset in live.market.assets}
    repaid: Counter[str] = Counter()
    seized = 0
    for log in logs:
        words = bytes.fromhex(log["data"][2:])
        repaid[symbols["0x" + log["topics"][2][26:]]] += int.from_bytes(words[:32])
        seized += int.from_bytes(words[32:64])
    earned = crashed.earned() - before
    stage.rpc.call("evm_revert", kept)
    return Done(seized=seized, repaid=repaid, earned=earned, calls=len(logs), gas=landed.gas_used)


def owed(done: Done, symbol: str, borrowed: int) -> int:
    """Return what was bought of an asset: the loan with its premium, less what was not used."""
    return with_premium(borrowed) - (borrowed - done.repaid[symbol])


def with_premium(amount: int) -> int:
    """Return what a loan of Aave costs: ``percentMul`` rounds half up."""
    return amount + (amount * 5 + 5_000) // 10_000


def cost_of(live: LiveMarket, symbol: str, amount: int, *, fee: int | None = None) -> int:
    """Return the WETH that QuoterV2 asks for an amount of an asset."""
    wanted = fee or exchange_fee(live, "WETH", symbol)
    asked = (live.market.weth, live.market.asset(symbol).token, amount, wanted, 0)
    return int(read(live.rpc, live.quoter, "quoteExactOutputSingle", asked)[0])


def biggest(live: LiveMarket, debt: str = "USDC") -> Loan:
    return loans(live, "WETH", [debt])[0]


def test_one_hop(crashed: Crashed) -> None:
    live, loan = crashed.live, biggest(crashed.live)
    leg = repay_leg(live, "WETH", "USDC")
    done = carry_out(crashed, [flash(live, "USDC", loan.cover, liquidation(live, loan), leg)])
    cost = cost_of(live, "USDC", owed(done, "USDC", loan.cover))
    assert (done.repaid["USDC"], done.earned) == (loan.cover, done.seized - cost)
    on_record("aave flash, one hop", done.gas)


def test_two_hops(crashed: Crashed) -> None:
    live, loan = crashed.live, biggest(crashed.live, "DAI")
    first = repay_leg(live, "WETH", "USDC")
    last = replace(repay_leg(live, "USDC", "DAI"), limit=2**128, inner=(first,))
    done = carry_out(crashed, [flash(live, "DAI", loan.cover, liquidation(live, loan), last)])
    usdc, dai = (live.market.asset(symbol).token for symbol in ("USDC", "DAI"))
    wanted = (usdc, dai, owed(done, "DAI", loan.cover), exchange_fee(live, "USDC", "DAI"), 0)
    between = read(live.rpc, live.quoter, "quoteExactOutputSingle", wanted)[0]
    assert done.earned == done.seized - cost_of(live, "USDC", between)
    on_record("aave flash, two hops", done.gas)


def test_a_purchase_split_over_two_pools(crashed: Crashed) -> None:
    live, loan = crashed.live, biggest(crashed.live)
    thin = next(
        pool.address
        for pool in live.market.pools
        if {pool.symbol0, pool.symbol1} == {"WETH", "USDC"} and pool.fee == THIN
    )
    part = loan.cover // 10
    rest = repay_leg(live, "WETH", "USDC")
    legs = (replace(rest, pool=thin, amount=part), rest)
    done = carry_out(crashed, [flash(live, "USDC", loan.cover, liquidation(live, loan), *legs)])
    cost = cost_of(live, "USDC", part, fee=THIN)
    cost += cost_of(live, "USDC", owed(done, "USDC", loan.cover) - part)
    assert done.earned == done.seized - cost
    on_record("aave flash, split over two pools", done.gas)


def test_a_flash_swap(crashed: Crashed) -> None:
    live, loan = crashed.live, biggest(crashed.live)
    swap = Swap(
        pool=exchange_pool(live, "WETH", "USDC"),
        token_in=live.market.weth,
        token_out=live.market.asset("USDC").token,
        amount=loan.cover,
        limit=2**128,
        inner=(liquidation(live, loan),),
    )
    done = carry_out(crashed, [swap])
    assert done.earned == done.seized - cost_of(live, "USDC", loan.cover)
    on_record("flash swap", done.gas)


def v2_pair(crashed: Crashed) -> Contract:
    """Open a pair of WETH and USDC at the exchange's price, from the deep pockets of the market."""
    live = crashed.live
    rich = Sender.of(live.rpc, live.market.accounts.arbitrageur)
    exchange = deploy_uniswap_v2(rich)
    dollars = 2_000_000 * 10**6
    amounts = (
        (live.tokens["WETH"], cost_of(live, "USDC", 10**6) * 2_000_000),
        (live.tokens["USDC"], dollars),
    )
    pair = open_pair(rich, exchange, amounts)
    rich.mine()
    return pair


def test_a_pair(crashed: Crashed) -> None:
    live, loan, pair = crashed.live, biggest(crashed.live), v2_pair(crashed)
    reserve0, reserve1, _ = read(live.rpc, pair, "getReserves")
    first = read(live.rpc, pair, "token0") == live.market.weth
    weth, usdc = (reserve0, reserve1) if first else (reserve1, reserve0)
    leg = PairSwap(
        pair=pair.address,
        token_in=live.market.weth,
        token_out=live.market.asset("USDC").token,
        amount=Known.OWED,
        limit=BalanceOf(token=live.market.weth),
    )
    done = carry_out(crashed, [flash(live, "USDC", loan.cover, liquidation(live, loan), leg)])
    due = owed(done, "USDC", loan.cover)
    cost = weth * due * 1000 // ((usdc - due) * 997) + 1
    assert done.earned == done.seized - cost
    on_record("aave flash, pair", done.gas)


def test_several_steps_on_one_account(crashed: Crashed) -> None:
    live, loan = crashed.live, biggest(crashed.live)
    part = replace(loan, cover=loan.cover // 20)
    calls = [liquidation(live, part)] * 3
    borrowed = 3 * part.cover
    done = carry_out(
        crashed, [flash(live, "USDC", borrowed, *calls, repay_leg(live, "WETH", "USDC"))]
    )
    cost = cost_of(live, "USDC", owed(done, "USDC", borrowed))
    assert (done.repaid["USDC"], done.earned) == (borrowed, done.seized - cost)
    on_record("three steps on one account", done.gas)


def accounts(live: LiveMarket, count: int) -> list[Loan]:
    """Return the biggest loans of as many accounts."""
    found: dict[str, Loan] = {}
    for loan in loans(live, "WETH", STABLES):
        found.setdefault(loan.account, loan)
    assert len(found) >= count, f"the market has {len(found)} accounts under water with WETH"
    return list(found.values())[:count]


@pytest.mark.parametrize("count", [2, 5, 10])
def test_a_batch_of_accounts(crashed: Crashed, count: int) -> None:
    live, batch = crashed.live, accounts(crashed.live, count)
    borrowed: Counter[str] = Counter()
    for loan in batch:
        borrowed[loan.debt] += loan.cover
    steps = [
        flash(
            live,
            debt,
            amount,
            *(
                replace(liquidation(live, loan), optional=True)
                for loan in batch
                if loan.debt == debt
            ),
            repay_leg(live, "WETH", debt),
        )
        for debt, amount in borrowed.items()
    ]
    done = carry_out(crashed, steps)
    cost = sum(cost_of(live, debt, owed(done, debt, amount)) for debt, amount in borrowed.items())
    assert done.calls == count
    assert done.earned == done.seized - cost
    on_record(f"batch of {count:02}", done.gas)


def test_one_of_a_batch_that_comes_too_late_costs_only_its_share_of_the_loan(
    crashed: Crashed,
) -> None:
    live, stage = crashed.live, crashed.stage
    first, second = loans(live, "WETH", ["USDC"])[:2]
    leg = repay_leg(live, "WETH", "USDC")
    # Somebody else is first: the account is sound again.
    while first.account in under_water(live):
        early = flash(live, "USDC", first.cover, liquidation(live, first), leg)
        stage.run(program(live, early))
    calls = (replace(liquidation(live, one), optional=True) for one in (first, second))
    borrowed = first.cover + second.cover
    done = carry_out(crashed, [flash(live, "USDC", borrowed, *calls, leg)])
    assert (done.calls, done.repaid["USDC"]) == (1, second.cover)
    assert done.earned == done.seized - cost_of(live, "USDC", owed(done, "USDC", borrowed))
