"""The cast of a small liquidation: two tokens, a lender, a stand-in protocol and a pool."""

from dataclasses import dataclass

from keeper.devnet.contract import Contract, selector
from keeper.evm.program import Approval, BalanceOf, Call, Flash, Known, Program, Step, Swap
from tests.support.executor_stage import FAR_FUTURE, Stage

LOAN = 1_000_000
FEE = LOAN // 1000
GAIN = LOAN - FEE
"""The bargain pays two for one, and pools swap one for one: what is left of it after the fee."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A debt and a collateral token, a lender, a bargain that stands for a protocol, and a pool."""

    debt: Contract
    collateral: Contract
    lender: Contract
    bargain: Contract
    pool: Contract

    def contracts(self) -> tuple[Contract, ...]:
        return (self.debt, self.collateral, self.lender, self.bargain, self.pool)

    def liquidation(self, amount: int = LOAN) -> Call:
        return Call(
            target=self.bargain.address,
            selector=selector(self.bargain.artifact.functions["take"]),
            parts=(self.debt.address, amount, self.collateral.address),
            approval=Approval(token=self.debt.address, spender=self.bargain.address, amount=amount),
        )

    def repay_leg(self) -> Swap:
        return Swap(
            pool=self.pool.address,
            token_in=self.collateral.address,
            token_out=self.debt.address,
            amount=Known.OWED,
            limit=BalanceOf(token=self.collateral.address),
        )

    def flash(self, *steps: Step, amount: int = LOAN) -> Flash:
        return Flash(
            lender=self.lender.address, asset=self.debt.address, amount=amount, inner=steps
        )

    def program(self, *steps: Step, min_profit: int = GAIN) -> Program:
        return Program(
            deadline=FAR_FUTURE,
            profit_token=self.collateral.address,
            min_profit=min_profit,
            steps=steps or (self.flash(self.liquidation(), self.repay_leg()),),
        )


def scene_of(stage: Stage, *, debt: str = "Token", collateral: str = "Token") -> Scene:
    debt_token, collateral_token = stage.token(debt), stage.token(collateral)
    scene = Scene(
        debt=debt_token,
        collateral=collateral_token,
        lender=stage.deploy("HostileLender"),
        bargain=stage.deploy("Bargain"),
        pool=stage.deploy("HostilePool", debt_token.address, collateral_token.address),
    )
    for holder in (scene.lender, scene.bargain, scene.pool):
        for token in (debt_token, collateral_token):
            stage.do(token, "mint", holder.address, 100 * LOAN)
    return scene
