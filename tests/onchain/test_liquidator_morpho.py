"""A call that is paid later: one callback, from whom was called, and never more than the limit."""

import re
from dataclasses import dataclass

import pytest

from keeper.core.values import replace
from keeper.devnet.contract import Contract, selector
from keeper.devnet.sender import read
from keeper.evm.executor_revert import read_revert
from keeper.evm.program import BalanceOf, Known, PayLater, Program, Step, Swap
from tests.support.executor_stage import FAR_FUTURE, RECIPIENT, Stage

PAY = 1_000_000
MODES = (
    "Honest",
    "Early",
    "Greedy",
    "Forged",
    "Twice",
    "Silent",
    "Forgiving",
    "Taker",
    "Disguised",
    "Relayed",
)
HEAD = 128
"""Bytes of the arguments of ``sell`` before those of its callback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A seller that pays two collateral for one debt, and a pool that swaps them one for one."""

    debt: Contract
    collateral: Contract
    seller: Contract
    other: Contract
    pool: Contract

    def contracts(self) -> tuple[Contract, ...]:
        return (self.debt, self.collateral, self.seller, self.other, self.pool)

    def purchase(self) -> Swap:
        return Swap(
            pool=self.pool.address,
            token_in=self.collateral.address,
            token_out=self.debt.address,
            amount=Known.OWED,
            limit=BalanceOf(token=self.collateral.address),
        )

    def sale(self, *inner: Step, limit: int = PAY) -> PayLater:
        return PayLater(
            target=self.seller.address,
            token=self.debt.address,
            limit=limit,
            selector=selector(self.seller.artifact.functions["sell"]),
            parts=(self.debt.address, PAY, self.collateral.address, HEAD),
            inner=inner or (self.purchase(),),
        )

    def loan(self, *inner: Step) -> PayLater:
        return PayLater(
            target=self.other.address,
            token=self.debt.address,
            limit=PAY,
            selector=selector(self.other.artifact.functions["flashLoan"]),
            parts=(self.debt.address, PAY, 96),
            inner=inner,
        )

    def program(self, *steps: Step, min_profit: int = PAY) -> Program:
        return Program(
            deadline=FAR_FUTURE,
            profit_token=self.collateral.address,
            min_profit=min_profit,
            steps=steps or (self.sale(),),
        )


@pytest.fixture
def shop(stage: Stage) -> Shop:
    debt, collateral = stage.token(), stage.token()
    made = Shop(
        debt=debt,
        collateral=collateral,
        seller=stage.deploy("HostileSeller"),
        other=stage.deploy("HostileSeller"),
        pool=stage.deploy("HostilePool", debt.address, collateral.address),
    )
    for holder in (made.seller, made.other, made.pool):
        for token in (debt, collateral):
            stage.do(token, "mint", holder.address, 100 * PAY)
    return made


def cause(found: str) -> str:
    """Return the executor's own error inside of the failure of the call that it came through."""
    reason = re.search(r"^CallFailed\(.*reason=0x([0-9a-f]+)\)$", found)
    inner = None if reason is None else read_revert(bytes.fromhex(reason[1]))
    return found if inner is None else str(inner)


def behave(stage: Stage, shop: Shop, mode: str) -> None:
    stage.do(shop.seller, "behave", MODES.index(mode), shop.other.address)


@pytest.mark.parametrize("mode", ["Honest", "Early"])
def test_what_is_handed_over_pays_for_itself(stage: Stage, shop: Shop, mode: str) -> None:
    behave(stage, shop, mode)
    stage.run(shop.program())
    assert stage.holding(shop.collateral, RECIPIENT) == PAY
    assert stage.holding(shop.debt, shop.seller) == 101 * PAY
    stage.assert_clean(*shop.contracts())


def test_a_free_loan_is_given_back_out_of_what_it_was_used_for(stage: Stage, shop: Shop) -> None:
    sale = PayLater(
        target=shop.seller.address,
        token=shop.debt.address,
        limit=PAY,
        selector=selector(shop.seller.artifact.functions["sell"]),
        parts=(shop.debt.address, PAY, shop.collateral.address, HEAD),
        inner=(),
    )
    stage.run(shop.program(shop.loan(sale, shop.purchase())))
    assert stage.holding(shop.collateral, RECIPIENT) == PAY
    assert stage.holding(shop.debt, shop.other) == 100 * PAY
    stage.assert_clean(*shop.contracts())


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("Greedy", "PaymentAboveLimit"),
        ("Forged", "UnexpectedCallback"),
        ("Twice", "UnexpectedCallback"),
        ("Silent", "CallbackMissing"),
        ("Taker", "CallFailed"),
        ("Disguised", "UnexpectedCallback"),
        ("Relayed", "UnexpectedCallback"),
    ],
)
def test_a_seller_that_cheats_undoes_everything(
    stage: Stage, shop: Shop, mode: str, said: str
) -> None:
    behave(stage, shop, mode)
    assert said in cause(stage.refusal(shop.program(min_profit=0)))
    stage.assert_clean(*shop.contracts())
    assert stage.holding(shop.collateral, RECIPIENT) == 0


def test_a_seller_that_forgives_its_pay_keeps_no_allowance(stage: Stage, shop: Shop) -> None:
    behave(stage, shop, "Forgiving")
    stage.run(shop.program())
    allowed = read(stage.rpc, shop.debt, "allowance", stage.executor.address, shop.seller.address)
    assert allowed == 0
    stage.assert_clean(*shop.contracts())


def test_an_optional_sale_that_fails_is_left_out_and_its_callback_with_it(
    stage: Stage, shop: Shop
) -> None:
    behave(stage, shop, "Taker")
    late = replace(shop.sale(), optional=True)
    other = replace(shop.sale(), target=shop.other.address)
    stage.run(shop.program(late, other))
    assert stage.holding(shop.collateral, RECIPIENT) == PAY
    assert stage.holding(shop.debt, shop.seller) == 100 * PAY
    stage.assert_clean(*shop.contracts())


def test_an_optional_sale_is_still_refused_when_it_never_calls_back(
    stage: Stage, shop: Shop
) -> None:
    behave(stage, shop, "Silent")
    found = stage.refusal(shop.program(replace(shop.sale(), optional=True), min_profit=0))
    assert found == f"CallbackMissing(callee={shop.seller.address})"


def test_nobody_can_call_the_callbacks(stage: Stage, shop: Shop) -> None:
    terms = bytes(20) + (2**256 - 1).to_bytes(32)
    for name in ("onMorphoFlashLoan", "onMorphoLiquidate", "onPreLiquidate"):
        data = stage.executor.encode(name, PAY, terms)
        for caller in (stage.stranger, stage.owner, stage.operator, shop.seller.address):
            found = stage.revert_of(data, sender=caller)
            assert found == f"UnexpectedCallback(caller={caller})"


def test_a_seller_called_by_a_stranger_cannot_make_the_executor_pay(
    stage: Stage, shop: Shop
) -> None:
    stage.run(shop.program())
    terms = bytes.fromhex(shop.debt.address[2:]) + PAY.to_bytes(32)
    data = shop.seller.encode("pass", stage.executor.address, PAY, terms)
    found = stage.revert_of(data, sender=stage.stranger, to=shop.seller.address)
    assert found == f"UnexpectedCallback(caller={shop.seller.address})"


def test_a_payment_is_held_to_the_limit_of_the_program(stage: Stage, shop: Shop) -> None:
    found = stage.refusal(shop.program(shop.sale(limit=PAY - 1)))
    assert cause(found) == f"PaymentAboveLimit(asked={PAY}, limit={PAY - 1})"
