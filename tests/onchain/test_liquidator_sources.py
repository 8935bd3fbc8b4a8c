"""Loans of every kind: a hostile lender of each, and the real ones where they can be had."""

import pytest

from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.balancer import deploy_vault, queue_fee
from keeper.devnet.contract import Contract, load_artifact
from keeper.devnet.executor import deploy_inventory
from keeper.devnet.sender import Sender, read
from keeper.evm.program import Flash, FlashKind, Program
from keeper.evm.program_encoder import encode
from tests.support.executor_scene import FEE, GAIN, LOAN, Scene, scene_of
from tests.support.executor_stage import RECIPIENT, ROOT, Stage

MODES = (
    "Honest",
    "OtherInitiator",
    "OtherAsset",
    "OtherAmount",
    "Forged",
    "Twice",
    "Silent",
    "Forgiving",
    "Usurer",
    "Disguised",
    "Relayed",
)
OTHERS = (FlashKind.POOL, FlashKind.VAULT, FlashKind.ERC_3156)
TERMS = bytes(20) + (2**256 - 1).to_bytes(32)
TREASURY = Address("0x" + "5a" * 20)


@pytest.fixture
def scene(stage: Stage) -> Scene:
    return scene_of(stage)


@pytest.fixture
def source(stage: Stage, scene: Scene) -> Contract:
    made = stage.deploy("HostileSource")
    stage.do(scene.debt, "mint", made.address, 100 * LOAN)
    return made


def behave(stage: Stage, source: Contract, mode: str) -> Contract:
    relay = stage.deploy("HostileSource")
    stage.do(source, "behave", MODES.index(mode), relay.address)
    return relay


def loan(scene: Scene, source: Contract, kind: FlashKind) -> Flash:
    inner = (scene.liquidation(), scene.repay_leg())
    return replace(scene.flash(*inner), lender=source.address, kind=kind)


def program(scene: Scene, source: Contract, kind: FlashKind, min_profit: int = GAIN) -> Program:
    return scene.program(loan(scene, source, kind), min_profit=min_profit)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_loan_of_each_kind_is_repaid_with_its_fee(
    stage: Stage, scene: Scene, source: Contract, kind: FlashKind
) -> None:
    stage.run(program(scene, source, kind))
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    assert stage.holding(scene.debt, source) == 100 * LOAN + FEE
    stage.assert_clean(*scene.contracts(), source)


def test_a_pool_lends_whichever_of_its_tokens_is_asked_for(
    stage: Stage, scene: Scene, source: Contract
) -> None:
    stage.do(source, "sort", scene.debt.address)
    stage.run(program(scene, source, FlashKind.POOL))
    assert stage.holding(scene.debt, source) == 100 * LOAN + FEE
    stage.assert_clean(*scene.contracts(), source)


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("mode", ["Forged", "Twice", "Disguised", "Relayed"])
def test_a_source_that_calls_back_out_of_context_undoes_the_program(
    stage: Stage, scene: Scene, source: Contract, kind: FlashKind, mode: str
) -> None:
    relay = behave(stage, source, mode)
    caller = relay if mode == "Relayed" else source
    found = stage.refusal(program(scene, source, kind, min_profit=0))
    assert found == f"UnexpectedCallback(caller={caller.address})"
    stage.assert_clean(*scene.contracts(), source)


@pytest.mark.parametrize("kind", [FlashKind.VAULT, FlashKind.ERC_3156])
@pytest.mark.parametrize("mode", ["OtherInitiator", "OtherAsset", "OtherAmount"])
def test_a_source_that_names_another_loan_undoes_the_program(
    stage: Stage, scene: Scene, source: Contract, kind: FlashKind, mode: str
) -> None:
    behave(stage, source, mode)
    found = stage.refusal(program(scene, source, kind, min_profit=0))
    assert found == f"UnexpectedCallback(caller={source.address})"


@pytest.mark.parametrize("kind", OTHERS)
def test_a_source_that_never_calls_back_is_refused(
    stage: Stage, scene: Scene, source: Contract, kind: FlashKind
) -> None:
    behave(stage, source, "Silent")
    stage.do(scene.debt, "mint", stage.executor.address, LOAN)
    found = stage.refusal(program(scene, source, kind, min_profit=0))
    # Pool and vault see that they are not repaid before we see that they did not call back.
    reasons = {FlashKind.POOL: "F0", FlashKind.VAULT: "BAL#515"}
    reason = reasons.get(kind)
    missing = f"CallbackMissing(callee={source.address})"
    assert reason.encode().hex() in found if reason else found == missing


@pytest.mark.parametrize("kind", OTHERS)
def test_a_source_that_forgives_keeps_no_allowance(
    stage: Stage, scene: Scene, source: Contract, kind: FlashKind
) -> None:
    behave(stage, source, "Forgiving")
    stage.run(program(scene, source, kind))
    stage.assert_clean(*scene.contracts(), source)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_ruinous_fee_trips_the_minimum(
    stage: Stage, scene: Scene, source: Contract, kind: FlashKind
) -> None:
    behave(stage, source, "Usurer")
    found = stage.refusal(program(scene, source, kind, min_profit=1))
    assert found == "ProfitBelowMinimum(profit=0, minimum=1)"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("uniswapV3FlashCallback", (1, 0, TERMS)),
        ("receiveFlashLoan", ([TREASURY], [1], [0], TERMS)),
        ("onFlashLoan", ("executor", TREASURY, 1, 0, TERMS)),
    ],
)
def test_nobody_can_call_the_callbacks(
    stage: Stage, source: Contract, function: str, arguments: tuple
) -> None:
    named = tuple(stage.executor.address if one == "executor" else one for one in arguments)
    data = stage.executor.encode(function, *named)
    for caller in (stage.stranger, stage.owner, stage.operator, source.address):
        found = stage.revert_of(data, sender=caller)
        assert found == f"UnexpectedCallback(caller={caller})"


def test_a_lender_of_no_known_kind_is_refused(stage: Stage, scene: Scene, source: Contract) -> None:
    known, other = (encode(program(scene, source, kind)) for kind in OTHERS[1:])
    (at,) = [i for i, (one, two) in enumerate(zip(known, other, strict=True)) if one != two]
    assert (known[at], other[at]) == (0x23, 0x33)
    unknown = known[:at] + b"\x43" + known[at + 1 :]
    assert stage.refusal(unknown) == "UnknownLender(how=4)"


def test_two_sources_are_nested(stage: Stage, scene: Scene, source: Contract) -> None:
    both = (scene.liquidation(), scene.repay_leg())
    quarter = replace(loan(scene, source, FlashKind.VAULT), amount=LOAN // 4, inner=both)
    outer = scene.flash(quarter, scene.repay_leg(), amount=LOAN - LOAN // 4)
    stage.run(scene.program(outer))
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    assert stage.holding(scene.debt, source) == 100 * LOAN + LOAN // 4 // 1000
    stage.assert_clean(*scene.contracts(), source)


# Balancer V2's own vault.


@pytest.fixture
def vault(stage: Stage, scene: Scene) -> Contract:
    authorizer = stage.deploy("Permissive").address
    sender = Sender.of(stage.rpc, stage.owner)
    made = deploy_vault(sender, authorizer=authorizer, weth=scene.debt.address)
    sender.mine()
    stage.do(scene.debt, "mint", made.address, 10 * LOAN)
    return made


def test_balancers_vault_lends_for_nothing(stage: Stage, scene: Scene, vault: Contract) -> None:
    stage.run(program(scene, vault, FlashKind.VAULT, min_profit=LOAN))
    assert stage.holding(scene.collateral, RECIPIENT) == LOAN
    assert stage.holding(scene.debt, vault) == 10 * LOAN
    stage.assert_clean(*scene.contracts(), vault)


def test_balancers_vault_is_paid_the_fee_that_is_set(
    stage: Stage, scene: Scene, vault: Contract
) -> None:
    collector = read(stage.rpc, vault, "getProtocolFeesCollector")
    sender = Sender.of(stage.rpc, stage.owner)
    queue_fee(sender, collector, 10**14)
    sender.mine()
    fee = LOAN // 10_000
    stage.run(program(scene, vault, FlashKind.VAULT, min_profit=LOAN - fee))
    assert stage.holding(scene.collateral, RECIPIENT) == LOAN - fee
    assert stage.holding(scene.debt, collector) == fee
    stage.assert_clean(*scene.contracts(), vault)


def test_nobody_borrows_from_balancers_vault_in_the_name_of_the_executor(
    stage: Stage, scene: Scene, vault: Contract
) -> None:
    terms = bytes.fromhex(scene.debt.address[2:]) + LOAN.to_bytes(32)
    data = vault.encode("flashLoan", stage.executor.address, [scene.debt.address], [LOAN], terms)
    found = stage.revert_of(data, sender=stage.stranger, to=vault.address)
    assert found == f"UnexpectedCallback(caller={vault.address})"


# The operator's own tokens.


@pytest.fixture
def inventory(stage: Stage, scene: Scene) -> Contract:
    stage.rpc.call("anvil_impersonateAccount", TREASURY)
    stage.rpc.call("anvil_setBalance", TREASURY, hex(10**18))
    made = Contract(
        artifact=load_artifact(ROOT / "abis" / "Inventory.json"),
        address=deploy_inventory(
            stage.rpc, deployer=stage.owner, executor=stage.executor.address, treasury=TREASURY
        ),
    )
    stage.do(scene.debt, "mint", TREASURY, 5 * LOAN)
    stage.do(scene.debt, "approve", made.address, 3 * LOAN, sender=TREASURY)
    return made


def test_own_tokens_are_lent_for_nothing_and_are_back_at_the_treasury(
    stage: Stage, scene: Scene, inventory: Contract
) -> None:
    assert read(stage.rpc, inventory, "maxFlashLoan", scene.debt.address) == 3 * LOAN
    stage.run(program(scene, inventory, FlashKind.ERC_3156, min_profit=LOAN))
    assert stage.holding(scene.collateral, RECIPIENT) == LOAN
    assert stage.holding(scene.debt, TREASURY) == 5 * LOAN
    assert read(stage.rpc, inventory, "maxFlashLoan", scene.debt.address) == 2 * LOAN
    assert read(stage.rpc, inventory, "flashFee", scene.debt.address, LOAN) == 0
    stage.assert_clean(*scene.contracts(), inventory)


def test_the_profit_is_measured_at_the_recipient_though_it_is_the_treasury(
    stage: Stage, scene: Scene, inventory: Contract
) -> None:
    stage.do(stage.executor, "setRecipient", TREASURY)
    profit = replace(program(scene, inventory, FlashKind.ERC_3156), profit_token=scene.debt.address)
    whole = replace(scene.repay_leg(), amount=2 * LOAN, limit=None)
    inner = (scene.liquidation(), whole)
    earning = replace(
        profit,
        min_profit=LOAN,
        steps=(replace(loan(scene, inventory, FlashKind.ERC_3156), inner=inner),),
    )
    assert stage.profit_of(earning) == LOAN
    assert stage.refusal(replace(earning, min_profit=LOAN + 1)).startswith("ProfitBelowMinimum")
    stage.run(earning)
    assert stage.holding(scene.debt, TREASURY) == 6 * LOAN


def test_own_tokens_that_are_not_earned_back_undo_everything(
    stage: Stage, scene: Scene, inventory: Contract
) -> None:
    lost = replace(loan(scene, inventory, FlashKind.ERC_3156), inner=(scene.liquidation(),))
    found = stage.refusal(scene.program(lost, min_profit=0))
    assert found == f"TokenCallFailed(token={scene.debt.address})"
    assert stage.holding(scene.debt, TREASURY) == 5 * LOAN


def test_nobody_else_borrows_the_inventory(stage: Stage, scene: Scene, inventory: Contract) -> None:
    for receiver in (stage.executor.address, stage.stranger):
        data = inventory.encode("flashLoan", receiver, scene.debt.address, 1, b"")
        for caller in (stage.stranger, stage.owner, stage.operator, TREASURY):
            found = stage.revert_of(data, sender=caller, to=inventory.address)
            assert found == f"NotExecutor(caller={caller})"


def test_a_token_that_keeps_part_of_what_comes_back_is_not_lent(
    stage: Stage, inventory: Contract
) -> None:
    scene = scene_of(stage, debt="FeeToken")
    stage.do(scene.debt, "setFee", 1)
    stage.do(scene.debt, "mint", TREASURY, LOAN)
    stage.do(scene.debt, "approve", inventory.address, LOAN, sender=TREASURY)
    stage.do(scene.debt, "mint", stage.executor.address, LOAN)
    idle = replace(loan(scene, inventory, FlashKind.ERC_3156), inner=(), amount=LOAN // 2)
    found = stage.refusal(scene.program(idle, min_profit=0))
    short = LOAN - LOAN // 2 // 10_000
    token = scene.debt.address
    assert found == f"TreasuryShort(token={token}, held={short}, before={LOAN})"
    assert stage.holding(scene.debt, TREASURY) == LOAN
