"""What a transaction may call and which tokens it may move is the operator's to say."""

import shutil
from pathlib import Path

import pytest
import yaml

from keeper.app.builders import limits_of
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.core.lending import Reason
from keeper.core.plan import Plan, Underlying, Unwound
from keeper.core.ports import SwapOffer
from keeper.core.units import address_bytes
from keeper.core.values import replace
from keeper.evm.program import Approval, Call, Flash, Program
from keeper.evm.program_encoder import encode
from keeper.executor.policy import Exposure, Limits, judge, tokens_of
from keeper.planner.planner import Planner
from tests.support.disarmed import LIMITS
from tests.support.ledger_records import EXECUTOR, account, plan
from tests.support.lending_desk import (
    DAI,
    DEEP,
    USDC,
    WBTC,
    WETH,
    case_with,
    desk_of,
    markets,
    option_of,
    terms_of,
)

SHIPPED = Path(__file__).parents[2] / "config"
NOTHING = Exposure(
    spent_hour=0, spent_day=0, at_stake=0, in_flight=0, busy=frozenset(), balances=None
)
ONE, TWO = plan(1), plan(2)
ALL = tokens_of(ONE)
STRANGE = account(99)


def said(of: Plan, limits: Limits) -> tuple[Reason, str] | None:
    no = judge(of, limits, NOTHING)
    return None if no is None else (no.reason, no.detail)


def test_nothing_but_the_executor_contract_is_called() -> None:
    assert said(ONE, replace(LIMITS, targets=frozenset({EXECUTOR}))) is None
    assert said(ONE, replace(LIMITS, targets=frozenset({STRANGE}))) == (
        Reason.POLICY,
        f"it calls {EXECUTOR}, which is not the executor contract",
    )


def test_a_plan_moves_only_tokens_that_are_listed() -> None:
    listed = ALL | PLEDGED
    assert said(RUN, replace(LIMITS, tokens=listed)) is None
    for token in listed:
        assert said(RUN, replace(LIMITS, tokens=listed - {token})) == (
            Reason.POLICY,
            f"token {token} is not among limits.tokens",
        )


def test_every_token_of_every_account_of_a_batch_is_looked_at() -> None:
    other = replace(TWO, option=replace(TWO.option, collateral=STRANGE))
    batch = replace(RUN, companions=(other,))
    assert said(batch, replace(LIMITS, tokens=ALL | PLEDGED | {STRANGE})) is None
    assert said(batch, replace(LIMITS, tokens=ALL | PLEDGED)) == (
        Reason.POLICY,
        f"token {STRANGE} is not among limits.tokens",
    )


def test_what_shares_are_redeemed_for_is_a_token_too() -> None:
    unwound = Unwound(
        kind="erc4626",
        share=ONE.option.collateral,
        shares=1,
        underlying=Underlying(address=STRANGE, symbol="S", unit=1),
        assets=1,
    )
    assert STRANGE in tokens_of(replace(ONE, unwound=unwound))


POOL, ROUTER, LENDER, VAULT = account(71), account(72), account(73), account(74)
REPAY = Call(
    target=POOL,
    selector=bytes(4),
    parts=(),
    approval=Approval(token=account(75), spender=POOL, amount=1),
)
SELL = replace(REPAY, target=ROUTER, approval=Approval(token=account(76), spender=VAULT, amount=1))
PROGRAM = Program(
    deadline=1,
    profit_token=account(77),
    min_profit=1,
    steps=(Flash(lender=LENDER, asset=account(75), amount=1, inner=(REPAY, SELL)),),
)
RUN = replace(ONE, transaction=replace(ONE.transaction, data=encode(PROGRAM)))
PLEDGED = frozenset({account(75), account(76)})
"""Tokens that it borrows or lets others take."""
CALLED, SPENDERS = frozenset({POOL, ROUTER, LENDER}), frozenset({POOL, VAULT, LENDER})


def test_the_executor_contract_calls_only_whom_is_listed() -> None:
    assert said(RUN, replace(LIMITS, called=CALLED)) is None
    for one in CALLED:
        assert said(RUN, replace(LIMITS, called=CALLED - {one})) == (
            Reason.POLICY,
            f"the executor contract would call {one}, which is not among limits.targets",
        )


def test_only_whom_is_listed_is_let_spend_be_it_lender_protocol_or_router() -> None:
    assert said(RUN, replace(LIMITS, spenders=SPENDERS)) is None
    for one in SPENDERS:
        assert said(RUN, replace(LIMITS, spenders=SPENDERS - {one})) == (
            Reason.POLICY,
            f"{one} would be let spend its tokens, and is not among limits.spenders",
        )


def test_what_cannot_be_read_passes_no_list() -> None:
    for lists in ({"called": CALLED}, {"spenders": SPENDERS}, {"tokens": ALL}):
        limits = replace(LIMITS, **lists)
        found = said(replace(RUN, transaction=ONE.transaction), limits)
        assert found is not None
        assert found[0] is Reason.POLICY
        assert found[1].startswith("it runs no program that can be read: expected")


def configured(folder: Path, **limits: object) -> Path:
    shutil.copytree(SHIPPED, folder / "config")
    path = folder / "config" / "keeper.yaml"
    root = yaml.safe_load(path.read_text("utf-8"))
    root["executor"] = EXECUTOR
    root["limits"] |= limits
    path.write_text(yaml.safe_dump(root), "utf-8")
    return path


def test_the_list_is_read_from_the_file_and_the_wrapped_coin_is_always_on_it(
    tmp_path: Path,
) -> None:
    settings = load(configured(tmp_path, tokens=[STRANGE]))
    found = limits_of(settings)
    assert found.tokens == {STRANGE, settings.chain.wrapped_native}
    assert found.targets == {EXECUTOR}


def test_targets_and_spenders_are_read_from_the_file(tmp_path: Path) -> None:
    settings = load(configured(tmp_path, targets=[POOL], spenders=[VAULT]))
    found = limits_of(settings)
    assert found.called == {POOL, settings.chain.wrapped_native}
    assert found.spenders == {VAULT}


def test_without_a_list_everything_is_let_through(tmp_path: Path) -> None:
    found = limits_of(load(configured(tmp_path)))
    assert (found.tokens, found.called, found.spenders) == (None, None, None)


@pytest.mark.parametrize("name", ["tokens", "targets", "spenders"])
def test_an_empty_list_is_refused_where_it_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"keeper\.yaml:\d+: limits\.{name}: expected"):
        load(configured(tmp_path, **{name: []}))


def offered() -> Plan:
    """Return a plan with an offer for what would be sold by way of DAI."""
    planner = Planner(terms=terms_of(), venues=(), lenders=())
    pools = markets(DEEP, [(WBTC, USDC), (WBTC, DAI), (DAI, WETH)])
    case = case_with(option_of(WBTC, USDC, dollars=20_000))
    (chosen,), _ = planner.choose_all([case], desk_of(*pools, intermediates=(DAI,)))
    ask = planner.ask(chosen)
    assert ask is not None
    better = SwapOffer(
        source="zero_x",
        ask=ask,
        amount_out=2 * ask.fair_out,
        target=ROUTER,
        spender=VAULT,
        data=bytes(4),
        gas=150_000,
        least_gain_bps=0,
    )
    return planner.build_offered(chosen, [better])


def test_what_is_sold_where_an_offer_is_not_kept_is_looked_at_too() -> None:
    """The local path stands behind the offer in the program that is signed."""
    made = offered()
    assert [leg.venue for leg in made.route if leg.token_out == WETH] == ["zero_x"]
    assert address_bytes(DAI) in made.transaction.data
    listed, limits = frozenset({WBTC, USDC, WETH}), replace(LIMITS, min_profit=0)
    assert said(made, replace(limits, tokens=listed | {DAI})) is None
    assert said(made, replace(limits, tokens=listed)) == (
        Reason.POLICY,
        f"token {DAI} is not among limits.tokens",
    )
