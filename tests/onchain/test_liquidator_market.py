"""Whole liquidations on real Aave V3 and Uniswap V3, prices from real Chainlink aggregators."""

import pytest

from keeper.core.values import replace
from keeper.devnet.live import account_data
from keeper.devnet.prices import oracle_prices
from keeper.devnet.sender import Sender
from keeper.devnet.uniswap import queue_moves
from keeper.evm.program import RECIPIENT_SLOT, FlashKind, Tip, operator_slot
from keeper.evm.program_encoder import encode
from tests.support.executor_crash import Crashed
from tests.support.executor_market import (
    everything,
    exchange_fee,
    exchange_pool,
    flash,
    liquidation,
    loans,
    profit_leg,
    program,
    repay_leg,
    whole,
    withdrawal,
)
from tests.support.executor_stage import PROPOSER, RECIPIENT, runtime_code

STABLES = ("USDC", "USDT", "DAI")


def test_a_flash_liquidation_earns_what_its_rehearsal_says(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    loan = loans(live, "WETH", STABLES)[0]
    (before,) = account_data(live, [loan.account])
    forecast = stage.profit_of(whole(live, loan))
    assert forecast > 0
    stage.run(replace(whole(live, loan), min_profit=forecast * 99 // 100))
    (after,) = account_data(live, [loan.account])
    assert crashed.earned() * 10**4 // forecast in range(9_999, 10_001)
    assert after.debt_base < before.debt_base
    stage.assert_clean(*everything(live))


def test_its_calldata_and_gas_stay_small(crashed: Crashed) -> None:
    loan = loans(crashed.live, "WETH", STABLES)[0]
    assert len(encode(whole(crashed.live, loan))) <= 160
    # Most of it is Aave's: see the flash swap for the share of the loan.
    assert crashed.stage.run(whole(crashed.live, loan)).gas_used <= 615_000


def test_collateral_that_is_not_native_leaves_its_profit_in_wrapped_native(
    crashed: Crashed,
) -> None:
    live, stage = crashed.live, crashed.stage
    loan = next(loan for loan in loans(live, "WBTC", STABLES) if loan.debt == "USDC")
    stage.run(whole(live, loan))
    assert crashed.earned() > 0
    assert stage.holding(live.tokens["WBTC"], RECIPIENT) == 0
    stage.assert_clean(*everything(live))


def test_a_flash_swap_saves_the_loan_and_its_premium(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    loan = loans(live, "WETH", STABLES)[0]
    usual = stage.profit_of(whole(live, loan))
    swap = replace(
        repay_leg(live, "WETH", loan.debt),
        amount=loan.cover,
        limit=2**200,
        inner=(liquidation(live, loan),),
    )
    assert stage.profit_of(program(live, swap)) > usual
    landed = stage.run(program(live, swap, min_profit=usual))
    assert crashed.earned() > usual
    assert landed.gas_used <= 552_000
    stage.assert_clean(*everything(live))


@pytest.mark.parametrize("other", ["WBTC", "DAI", "USDT"])
def test_a_pool_lends_and_is_paid_its_fee(crashed: Crashed, other: str) -> None:
    live, stage = crashed.live, crashed.stage
    loan = next(loan for loan in loans(live, "WETH", STABLES) if loan.debt == "USDC")
    pool, fee = exchange_pool(live, "USDC", other), exchange_fee(live, "USDC", other)
    fee_due = -(-loan.cover * fee // 10**6)
    inner = (liquidation(live, loan), repay_leg(live, "WETH", "USDC"))
    borrowed = replace(flash(live, "USDC", loan.cover, *inner), lender=pool, kind=FlashKind.POOL)
    before = stage.holding(live.tokens["USDC"], pool)
    stage.run(program(live, borrowed))
    assert stage.holding(live.tokens["USDC"], pool) == before + fee_due
    assert crashed.earned() > 0
    stage.assert_clean(*everything(live))


def test_a_pool_that_lends_is_locked_against_the_route(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    loan = next(loan for loan in loans(live, "WETH", STABLES) if loan.debt == "USDC")
    inner = (liquidation(live, loan), repay_leg(live, "WETH", "USDC"))
    borrowed = replace(
        flash(live, "USDC", loan.cover, *inner),
        lender=exchange_pool(live, "WETH", "USDC"),
        kind=FlashKind.POOL,
    )
    assert b"LOK".hex() in stage.refusal(program(live, borrowed))


def test_two_accounts_are_liquidated_with_one_loan(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    same = [loan for loan in loans(live, "WETH", STABLES) if loan.debt == "USDC"][:2]
    assert len({loan.account for loan in same}) == 2
    alone = [stage.profit_of(whole(live, loan)) for loan in same]
    both = flash(
        live,
        "USDC",
        sum(loan.cover for loan in same),
        *(liquidation(live, loan) for loan in same),
        repay_leg(live, "WETH", "USDC"),
    )
    stage.run(program(live, both, min_profit=max(alone)))
    assert crashed.earned() > max(alone)
    stage.assert_clean(*everything(live))


def test_a_tokens_are_received_and_redeemed(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    loan = loans(live, "WETH", STABLES)[0]
    borrowed = flash(
        live,
        loan.debt,
        loan.cover,
        liquidation(live, loan, receive_a_token=True),
        withdrawal(live, "WETH"),
        repay_leg(live, "WETH", loan.debt),
    )
    usual = stage.profit_of(whole(live, loan))
    stage.run(program(live, borrowed, min_profit=usual * 99 // 100))
    assert stage.holding(live.a_tokens["WETH"], RECIPIENT) == 0
    stage.assert_clean(*everything(live))


def test_a_tokens_that_cannot_be_redeemed_are_swept_when_named(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    loan = loans(live, "WETH", STABLES)[0]
    debt = live.tokens[loan.debt]
    stage.rpc.call("anvil_impersonateAccount", live.market.accounts.supplier)
    spare = loan.cover + loan.cover // 1000
    stage.do(debt, "transfer", stage.executor.address, spare, sender=live.market.accounts.supplier)
    call = liquidation(live, loan, receive_a_token=True)
    a_token = live.a_tokens["WETH"]
    stage.run(
        replace(
            program(live, flash(live, loan.debt, loan.cover, call)),
            profit_token=a_token.address,
            sweep=(debt.address,),
        )
    )
    assert stage.holding(a_token, RECIPIENT) > 0
    stage.assert_clean(*everything(live))


def test_the_tip_comes_out_of_the_profit(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    usual = whole(live, loans(live, "WETH", STABLES)[0])
    forecast = stage.profit_of(usual)
    tip = forecast // 2
    tipped = replace(usual, tip=Tip(amount=tip, unwrap=live.market.weth))
    before = stage.native(PROPOSER)
    assert stage.profit_of(tipped) == forecast - tip
    stage.run(tipped)
    assert stage.native(PROPOSER) - before >= tip
    # A block later there is some interest more to earn from.
    assert crashed.earned() * 10**4 // (forecast - tip) in range(9_999, 10_001)
    stage.assert_clean(*everything(live))


def test_a_minimum_above_the_profit_undoes_everything(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    loan = loans(live, "WETH", STABLES)[0]
    forecast = stage.profit_of(whole(live, loan))
    found = stage.refusal(replace(whole(live, loan), min_profit=forecast + 10**15))
    assert found.startswith("ProfitBelowMinimum(profit=")
    assert crashed.earned() == 0


def test_a_price_that_moved_on_the_exchange_trips_the_minimum(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    loan = next(loan for loan in loans(live, "WETH", STABLES) if loan.debt == "USDC")
    planned = replace(whole(live, loan), min_profit=stage.profit_of(whole(live, loan)) * 9 // 10)
    cheaper = oracle_prices(live) | {"WETH": oracle_prices(live)["WETH"] * 98 // 100}
    arbitrageur = Sender.of(stage.rpc, live.market.accounts.arbitrageur)
    queue_moves(arbitrageur, live.swap_router, live.exchange_pools, cheaper)
    arbitrageur.mine()
    assert stage.refusal(planned).startswith("ProfitBelowMinimum(profit=")


def test_a_healthy_account_is_the_reason_that_the_protocol_gives(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    loan = loans(live, "WETH", STABLES)[0]
    healthy = max(
        zip(live.market.borrowers, account_data(live, live.market.borrowers), strict=True),
        key=lambda pair: pair[1].health_factor,
    )[0]
    found = stage.refusal(whole(live, replace(loan, account=healthy)))
    not_below_threshold = b"45".hex()
    assert found.startswith(f"CallFailed(target={live.market.pool}, reason=0x08c379a0")
    assert not_below_threshold in found


def test_nobody_can_borrow_from_the_pool_in_the_name_of_the_executor(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    data = live.pool.encode(
        "flashLoanSimple", stage.executor.address, live.market.weth, 10**18, b"", 0
    )
    found = stage.revert_of(data, sender=stage.stranger, to=live.market.pool)
    assert found == f"UnexpectedCallback(caller={live.market.pool})"


def test_it_can_be_rehearsed_before_it_is_deployed(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    usual = whole(live, loans(live, "WETH", STABLES)[0])
    nowhere = "0x" + "ab" * 20
    state = {
        f"0x{slot:064x}": f"0x{word:064x}"
        for slot, word in (
            (operator_slot(stage.operator), 1),
            (RECIPIENT_SLOT, int(RECIPIENT, 16)),
        )
    }
    found = stage.rpc.call(
        "eth_call",
        {"from": stage.operator, "to": nowhere, "data": "0x" + encode(usual).hex()},
        "latest",
        {nowhere: {"code": runtime_code(), "stateDiff": state}},
    )
    assert int(found, 16) == stage.profit_of(usual)


def test_an_exact_output_crosses_two_real_pools(crashed: Crashed) -> None:
    live, stage = crashed.live, crashed.stage
    loan = next(loan for loan in loans(live, "WBTC", STABLES) if loan.debt == "USDC")
    first_hop = replace(repay_leg(live, "WBTC", "WETH"), pool=exchange_pool(live, "WBTC", "WETH"))
    last_hop = replace(repay_leg(live, "WETH", "USDC"), limit=2**200, inner=(first_hop,))
    borrowed = flash(live, "USDC", loan.cover, liquidation(live, loan), last_hop)
    stage.run(program(live, borrowed, profit_leg(live, "WBTC")))
    assert crashed.earned() > 0
    stage.assert_clean(*everything(live))
