"""Loans under water on the local market, and the programs that liquidate them."""

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.core.units import MAX_UINT256, Address
from keeper.devnet.contract import Contract
from keeper.devnet.live import LiveMarket, account_data, under_water
from keeper.devnet.market import MarketPool
from keeper.devnet.sender import read
from keeper.evm.program import (
    Approval,
    BalanceOf,
    Call,
    Flash,
    Known,
    Program,
    Step,
    Swap,
    call_parts,
)
from tests.support.executor_stage import FAR_FUTURE

_CLOSE_FACTOR_LINE = 95 * 10**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """One pair of an account under water, by symbol, and how much debt one call may repay."""

    account: Address
    collateral: str
    debt: str
    cover: int


def loans(live: LiveMarket, collateral: str, debts: Sequence[str]) -> list[Loan]:
    """Return the pairs of accounts under water with this collateral and one of these debts.

    The largest come first.
    """
    assets = {asset.symbol: asset for asset in live.market.assets}
    found = []
    for account in under_water(live):
        (data,) = account_data(live, [account])
        for debt in debts:
            owed = _balance(live, assets[debt].variable_debt_token, account)
            held = _balance(live, assets[collateral].a_token, account)
            if owed and held:
                half = data.health_factor > _CLOSE_FACTOR_LINE
                cover = owed // 2 if half else owed
                found.append(Loan(account=account, collateral=collateral, debt=debt, cover=cover))
    return sorted(found, key=lambda loan: -loan.cover * 10 ** (18 - assets[loan.debt].decimals))


def liquidation(live: LiveMarket, loan: Loan, *, receive_a_token: bool = False) -> Call:
    """Return the call that liquidates a loan."""
    market = live.market
    token = market.asset(loan.debt).token
    selector, parts = call_parts(
        live.pool.encode(
            "liquidationCall",
            market.asset(loan.collateral).token,
            token,
            loan.account,
            loan.cover,
            receive_a_token,
        )
    )
    return Call(
        target=market.pool,
        selector=selector,
        parts=parts,
        approval=Approval(token=token, spender=market.pool, amount=loan.cover),
    )


def withdrawal(live: LiveMarket, symbol: str) -> Call:
    """Return the call that turns all aTokens held into their asset."""
    return Call(
        target=live.market.pool,
        selector=live.pool.encode("withdraw", live.market.weth, 0, live.market.weth)[:4],
        parts=(live.market.asset(symbol).token, MAX_UINT256, Known.EXECUTOR),
    )


def repay_leg(live: LiveMarket, collateral: str, debt: str) -> Swap:
    """Return the swap that buys what is owed with the seized collateral."""
    token_in = live.market.asset(collateral).token
    return Swap(
        pool=exchange_pool(live, collateral, debt),
        token_in=token_in,
        token_out=live.market.asset(debt).token,
        amount=Known.OWED,
        limit=BalanceOf(token=token_in),
    )


def profit_leg(live: LiveMarket, collateral: str) -> Swap:
    """Return the swap that turns what is left of the collateral into the wrapped native coin."""
    token_in = live.market.asset(collateral).token
    return Swap(
        pool=exchange_pool(live, collateral, "WETH"),
        token_in=token_in,
        token_out=live.market.weth,
        amount=BalanceOf(token=token_in),
    )


def flash(live: LiveMarket, debt: str, amount: int, *inner: Step) -> Flash:
    """Return the loan that funds the inner steps."""
    return Flash(
        lender=live.market.pool, asset=live.market.asset(debt).token, amount=amount, inner=inner
    )


def program(live: LiveMarket, *steps: Step, min_profit: int = 1) -> Program:
    """Return a program that earns wrapped native coin."""
    return Program(
        deadline=FAR_FUTURE, profit_token=live.market.weth, min_profit=min_profit, steps=steps
    )


def whole(live: LiveMarket, loan: Loan) -> Program:
    """Return the usual liquidation: loan, liquidation, repay leg, and profit leg if needed."""
    borrowed = flash(
        live,
        loan.debt,
        loan.cover,
        liquidation(live, loan),
        repay_leg(live, loan.collateral, loan.debt),
    )
    if loan.collateral == "WETH":
        return program(live, borrowed)
    return program(live, borrowed, profit_leg(live, loan.collateral))


def exchange_pool(live: LiveMarket, one: str, other: str) -> Address:
    """Return the first pool of two assets, the cheapest."""
    return _exchange(live, one, other).address


def exchange_fee(live: LiveMarket, one: str, other: str) -> int:
    """Return the fee of that pool, in millionths."""
    return _exchange(live, one, other).fee


def everything(live: LiveMarket) -> tuple[Contract, ...]:
    """Return every token and every contract that may have been approved."""
    pools = [pool for pool, _ in live.exchange_pools]
    return (*live.tokens.values(), *live.a_tokens.values(), live.pool, *pools)


def _balance(live: LiveMarket, token: Address, account: Address) -> int:
    some_token = live.a_tokens["WETH"].artifact
    return int(read(live.rpc, Contract(artifact=some_token, address=token), "balanceOf", account))


def _exchange(live: LiveMarket, one: str, other: str) -> MarketPool:
    return next(pool for pool in live.market.pools if {pool.symbol0, pool.symbol1} == {one, other})
