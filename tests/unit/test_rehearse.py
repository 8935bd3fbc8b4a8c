"""A plan goes on only if its very transaction does what the rules foretold."""

from collections.abc import Sequence

import pytest

from keeper.core.chain import DataCost, Simulated, StateOverride, Transaction, next_base_fee
from keeper.core.errors import RefusedError
from keeper.core.gas_limit import gas_limit_of
from keeper.core.lending import Liquidation, Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from keeper.executor.rehearse import Stage, rehearse, run_once
from tests.support.batch_records import ACCOUNTS, GAINS, merged, simulated
from tests.support.batch_records import decoders as batch_decoders
from tests.support.ledger_records import EXECUTOR, OPERATOR, USDC, WETH, block
from tests.support.rehearsal_node import (
    FLASH_FEE,
    FUTURE,
    GAIN,
    GAS_USED,
    HEAD,
    ONE,
    PLANS,
    RECIPIENT,
    THREE,
    TWO,
    Answer,
    Node,
    decoders,
    done,
    failed,
    stage,
    succeed,
    transfer,
)


async def rejected(answer: Answer, how: Decoders | None = None) -> Rejection:
    held, (no,) = await rehearse([ONE], Node(answer), stage(), how or decoders())
    assert held == []
    return no


async def test_a_plan_that_holds_takes_gas_and_forecast_from_the_rehearsal() -> None:
    (held,), refused = await rehearse([ONE], Node(succeed), stage(), decoders())
    assert refused == []
    assert held.gas_limit == gas_limit_of(GAS_USED, HEAD.number)
    price = min(ONE.fees.max_fee, next_base_fee(HEAD) + ONE.fees.priority_fee)
    assert held.forecast.gas == GAS_USED * price
    assert held.forecast.net == GAIN - GAS_USED * price
    assert held.forecast.flash_fee == ONE.valuation.wei_floor(USDC, FLASH_FEE)
    assert replace(held, gas_limit=ONE.gas_limit, forecast=ONE.forecast) == ONE


async def test_what_was_refused_at_one_head_is_another_transaction_at_the_next() -> None:
    # Of the same second and at the same fees, as on Arbitrum and BNB: only the head differs.
    later = replace(ONE.opportunity, block=replace(HEAD, number=HEAD.number + 1))
    held = await run_once(
        [ONE, replace(ONE, opportunity=later)], Node(succeed), stage(), decoders()
    )
    assert len({one.gas_limit for one in held if isinstance(one, Plan)}) == len(held)


async def test_the_target_block_is_rehearsed_not_the_head() -> None:
    node = Node(succeed)
    await rehearse([ONE], node, stage(), decoders())
    assert node.environment == (HEAD, FUTURE, next_base_fee(HEAD))


async def test_a_pretended_executor_is_there_in_the_rehearsal() -> None:
    pretended = {EXECUTOR: StateOverride(code=b"\x60")}
    node = Node(succeed)
    await rehearse([ONE], node, replace(stage(), overrides=pretended), decoders())
    assert node.overrides == pretended


async def test_what_is_in_flight_runs_before_the_plans() -> None:
    flying = Transaction(sender=OPERATOR, to=EXECUTOR, data=b"\xff")
    node = Node(lambda before, one: done(PLANS[one]) if before else failed("landed already"))
    held, _ = await rehearse([ONE, TWO], node, stage(flying), decoders())
    assert [one.id for one in held] == [ONE.id, TWO.id]
    assert node.rounds == [[flying, ONE.transaction, TWO.transaction]]


async def test_money_that_leaves_the_recipient_is_counted_off() -> None:
    def spend(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        back = transfer(WETH, RECIPIENT, EXECUTOR, 2 * WAD)
        other = transfer(USDC, EXECUTOR, RECIPIENT, 10**12)
        made = done(PLANS[one])
        return replace(made, logs=(*made.logs, back, other))

    (held,), _ = await rehearse([ONE], Node(spend), stage(), decoders())
    assert held.forecast.net == GAIN - 2 * WAD - held.forecast.gas


async def test_a_revert_is_a_rejection_with_the_node_s_reason() -> None:
    no = await rejected(lambda _before, _one: failed("execution reverted: 35"))
    assert no.reason is Reason.SIMULATION_FAILED
    assert no.detail == "reverts: execution reverted: 35"
    assert (no.ref, no.block, no.net_wei) == (ONE.ref, HEAD.number, ONE.forecast.net)


async def test_the_reason_is_asked_of_the_transaction_alone() -> None:
    flying = Transaction(sender=OPERATOR, to=EXECUTOR, data=b"\xff")
    node = Node(lambda _before, _one: failed("execution reverted"))
    await rehearse([ONE], node, stage(flying), decoders())
    assert node.rounds == [[flying, ONE.transaction], [ONE.transaction]]


async def test_a_revert_that_only_company_causes_is_said_to_be_one() -> None:
    def crowded(before: Sequence[Transaction], one: Transaction) -> Simulated:
        return failed("execution failed") if before else done(PLANS[one])

    held, (no,) = await rehearse([ONE, TWO], Node(crowded), stage(), decoders())
    assert [one.id for one in held] == [ONE.id]
    assert no.ref == TWO.ref
    assert no.detail == "reverts: only after the transactions ahead of it"


async def test_after_a_failure_the_others_run_again_without_it() -> None:
    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if one == ONE.transaction:
            return failed("no")
        # The third holds only when the first does not run before it.
        return failed("spoiled") if ONE.transaction in before else done(PLANS[one])

    node = Node(answer)
    held, refused = await rehearse([ONE, TWO, THREE], node, stage(), decoders())
    assert [one.id for one in held] == [TWO.id, THREE.id]
    assert [one.ref for one in refused] == [ONE.ref]
    assert node.rounds[-1] == [TWO.transaction, THREE.transaction]


async def test_after_a_failure_the_others_run_as_they_are_made_without_it() -> None:
    """The third is made anew, and what is made anew is what is rehearsed and goes on."""
    anew = replace(THREE, transaction=replace(THREE.transaction, data=b"anew"))

    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        known = PLANS | {anew.transaction: THREE}
        # As it was first made, the third holds only behind the first.
        spoilt = one == THREE.transaction and ONE.transaction not in before
        return failed("no") if one == ONE.transaction or spoilt else done(known[one])

    def remake(plans: Sequence[Plan]) -> tuple[list[Plan], list[Rejection]]:
        assert plans == [TWO, THREE]
        return [TWO, anew], []

    held, refused = await rehearse(
        [ONE, TWO, THREE], Node(answer), replace(stage(), remake=remake), decoders()
    )
    assert [one.transaction for one in held] == [TWO.transaction, anew.transaction]
    assert [one.ref for one in refused] == [ONE.ref]


async def test_one_that_cannot_be_made_without_the_one_that_failed_is_refused_with_it() -> None:
    gone = Rejection(ref=TWO.ref, block=HEAD.number, reason=Reason.NO_OPTION, detail="gone")

    def answer(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        return failed("no") if one == ONE.transaction else done(PLANS[one])

    held, refused = await rehearse(
        [ONE, TWO, THREE],
        Node(answer),
        replace(stage(), remake=lambda _: ([THREE], [gone])),
        decoders(),
    )
    assert [one.id for one in held] == [THREE.id]
    assert [one.ref for one in refused] == [ONE.ref, TWO.ref]


@pytest.mark.parametrize(
    ("what", "name"),
    [("repaid", "repaid"), ("seized", "seized"), ("protocol_fee", "protocol fee")],
)
async def test_one_wei_beside_the_rules_is_not_sent(what: str, name: str) -> None:
    def change(one: Liquidation) -> Liquidation:
        return replace(one, **{what: getattr(one, what) + 1})

    no = await rejected(succeed, decoders(change=change))
    assert no.reason is Reason.SIMULATION_DIFFERS
    assert no.detail.startswith(f"{name}: expected ")


async def test_a_success_that_liquidates_nothing_is_not_sent() -> None:
    def idle(_before: Sequence[Transaction], _one: Transaction) -> Simulated:
        return Simulated(success=True, gas_used=21_000, logs=(), return_data=b"", error="")

    no = await rejected(idle)
    assert no.reason is Reason.SIMULATION_DIFFERS
    assert no.detail == "expected one liquidation, found 0"


def all_eaten(eater: Plan) -> Answer:
    """Let one take all the gas, and refuse as geth does to tell of a block where others follow."""

    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if eater.transaction in before:
            raise RefusedError("gas limit reached")
        return failed("out of gas") if one == eater.transaction else succeed(before, one)

    return answer


@pytest.mark.parametrize("eater", [ONE, TWO, THREE])
async def test_who_takes_the_gas_of_all_is_taken_out_alone(eater: Plan) -> None:
    held, (no,) = await rehearse([ONE, TWO, THREE], Node(all_eaten(eater)), stage(), decoders())
    assert [one.id for one in held] == [one.id for one in (ONE, TWO, THREE) if one is not eater]
    assert (no.ref, no.reason) == (eater.ref, Reason.SIMULATION_FAILED)
    assert no.detail == "reverts: out of gas"


@pytest.mark.parametrize("room", [1, 2])
async def test_those_that_do_not_fit_behind_the_others_are_left_out(room: int) -> None:
    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if len(before) >= room:
            raise RefusedError("gas limit reached")
        return succeed(before, one)

    node = Node(answer)
    held, left = await rehearse([ONE, TWO, THREE], node, stage(), decoders())
    assert [one.id for one in held] == [ONE.id, TWO.id][:room]
    assert [one.ref for one in left] == [one.ref for one in (TWO, THREE)[room - 1 :]]
    assert {one.reason for one in left} == {Reason.SIMULATION_FAILED}


async def test_where_many_do_not_fit_the_node_is_not_asked_about_each() -> None:
    many = [replace(ONE, id=f"{n}") for n in range(64)]

    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if len(before) >= 10:
            raise RefusedError("gas limit reached")
        return succeed(before, one)

    node = Node(answer)
    how = replace(decoders(), liquidations=lambda _: decoders().liquidations(done(ONE).logs))
    held, left = await rehearse(many, node, stage(), how)
    assert (len(held), len(left)) == (10, 54)
    assert len(node.rounds) < 20


async def test_one_that_the_node_tells_nothing_of_is_left_out_and_no_other() -> None:
    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if TWO.transaction in (*before, one):
            raise RefusedError("execution aborted")
        return succeed(before, one)

    held, (no,) = await rehearse([ONE, TWO, THREE], Node(answer), stage(), decoders())
    assert [one.id for one in held] == [ONE.id, THREE.id]
    assert (no.ref, no.reason) == (TWO.ref, Reason.SIMULATION_FAILED)


@pytest.mark.parametrize("plans", [[ONE], [ONE, TWO, THREE]])
async def test_a_node_that_tells_of_none_skips_the_block(plans: list[Plan]) -> None:
    def answer(_before: Sequence[Transaction], _one: Transaction) -> Simulated:
        raise RefusedError("no such method")

    with pytest.raises(RefusedError, match="no such method"):
        await rehearse(plans, Node(answer), stage(), decoders())


async def test_without_plans_the_node_is_not_asked() -> None:
    node = Node(succeed)
    assert await rehearse([], node, stage(), decoders()) == ([], [])
    assert node.rounds == []


ROLLED = replace(ONE, data_cost=DataCost(wei=300, gas=50), tip=9)


async def test_what_a_rollup_charges_and_the_tip_are_in_the_forecast_and_the_limit() -> None:
    (held,), _ = await rehearse([ROLLED], Node(succeed), stage(), decoders())
    price = next_base_fee(HEAD) + ONE.fees.priority_fee
    assert held.forecast.gas == (GAS_USED + 50) * price + 300
    assert held.forecast.tip == 9
    assert held.gas_limit == gas_limit_of(GAS_USED, HEAD.number) + 50


async def test_no_more_than_the_plans_own_maximum_is_paid_for_gas() -> None:
    most = next_base_fee(HEAD) + 3
    cheap = replace(ONE, fees=replace(ONE.fees, max_fee=most))
    (held,), _ = await rehearse([cheap], Node(succeed), stage(), decoders())
    assert held.forecast.gas == GAS_USED * most


async def test_each_account_of_a_batch_has_its_own_forecast_of_the_rehearsal() -> None:
    node = Node(lambda _before, _one: simulated(ACCOUNTS, GAS_USED))
    (held,), _ = await rehearse([merged(*ACCOUNTS)], node, stage(), batch_decoders())
    price = next_base_fee(HEAD) + ONE.fees.priority_fee
    members = held.members
    assert [one.id for one in members] == [one.id for one in ACCOUNTS]
    assert [one.forecast.net + one.forecast.gas for one in members] == list(GAINS)
    assert sum(one.forecast.gas for one in members) == GAS_USED * price
    assert held.gas_limit == gas_limit_of(GAS_USED, HEAD.number)


async def test_a_batch_of_which_one_account_is_not_liquidated_is_not_sent() -> None:
    node = Node(lambda _before, _one: simulated(ACCOUNTS[:2], GAS_USED))
    held, (no,) = await rehearse([merged(*ACCOUNTS)], node, stage(), batch_decoders())
    assert held == []
    assert (no.ref, no.detail) == (THREE.ref, "expected one liquidation, found 0")


async def test_all_figures_that_differ_are_told() -> None:
    def change(one: Liquidation) -> Liquidation:
        return replace(one, repaid=one.repaid - 1, seized=one.seized + 1)

    no = await rejected(succeed, decoders(change=change))
    repay, seized = ONE.quote.repay, ONE.quote.seized
    assert no.detail == (
        f"repaid: expected {repay}, found {repay - 1}; "
        f"seized: expected {seized}, found {seized + 1}"
    )


@pytest.mark.parametrize(("off", "is_held"), [(4, True), (-4, True), (5, False), (-5, False)])
async def test_what_logs_cannot_tell_to_the_unit_may_differ_by_as_much(
    off: int, *, is_held: bool
) -> None:
    def change(one: Liquidation) -> Liquidation:
        return replace(one, seized=one.seized + off, slack=4)

    held, refused = await rehearse([ONE], Node(succeed), stage(), decoders(change=change))
    assert (len(held), len(refused)) == (int(is_held), int(not is_held))


LATER = block(102)


async def test_on_a_later_head_figures_may_differ_and_their_number_may_not() -> None:
    moved = stage().moved_to(LATER, ())

    def change(one: Liquidation) -> Liquidation:
        return replace(one, repaid=one.repaid + 1)

    held, _ = await rehearse([ONE], Node(succeed), moved, decoders(change=change))
    assert [one.id for one in held] == [ONE.id]
    idle = replace(done(ONE), logs=())
    held, (no,) = await rehearse([ONE], Node(lambda *_: idle), moved, decoders())
    assert (held, no.detail) == ([], "expected one liquidation, found 0")


def test_a_stage_is_behind_a_head_of_its_height_or_over_it_that_is_another() -> None:
    assert [stage().is_behind(one) for one in (block(99), HEAD, block(101))] == [
        False,
        False,
        True,
    ]
    assert stage().is_behind(replace(HEAD, hash=LATER.hash))


def test_a_stage_that_is_moved_keeps_its_distance_and_remakes_nothing() -> None:
    flying = Transaction(sender=OPERATOR, to=EXECUTOR, data=b"\xff")
    before = replace(stage(), remake=lambda _: ([], []), overrides={EXECUTOR: StateOverride()})
    moved = before.moved_to(LATER, (flying,))
    assert moved == Stage(
        head=LATER,
        timestamp=LATER.timestamp + FUTURE - HEAD.timestamp,
        ahead=(flying,),
        overrides=before.overrides,
        is_planned=False,
    )
