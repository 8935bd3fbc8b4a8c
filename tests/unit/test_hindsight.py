"""Why somebody else's liquidation was not ours, from what we knew and had done."""

import pytest

from keeper.app.hindsight import Ours, Scene, cause_of, told
from keeper.core.chain import BlockRef, Log, Receipt
from keeper.core.lending import AccountRef, Liquidation, Reason, Rejection
from keeper.core.plan import Status
from keeper.core.taken import Cause, OurPart
from keeper.core.units import WAD
from keeper.core.values import replace
from tests.support.ledger_records import USDC, VALUATION, WETH, account, hash32

REF = AccountRef(market="pool", account=account(1))
BLOCK = BlockRef(
    number=100,
    hash=hash32(100),
    parent_hash=hash32(99),
    timestamp=1_700_000_000,
    base_fee=7 * 10**9,
    gas_limit=30_000_000,
    gas_used=15_000_000,
)
RECEIPT = Receipt(
    tx_hash=hash32(1),
    block_number=100,
    block_hash=hash32(100),
    index=3,
    success=True,
    gas_used=400_000,
    effective_gas_price=10 * 10**9,
    l1_fee=5,
    logs=(),
)
SCENE = Scene(receipt=RECEIPT, block=BLOCK, moved="WETH -10.00 % in block 100")
NOTHING = Ours(since=None, left=None, part=None, looked=99)
LEFT = Rejection(ref=REF, block=98, reason=Reason.NO_ROUTE, detail="no pool", net_wei=None)


def part(status: Status, *, signed: bool) -> OurPart:
    return OurPart(
        status=status,
        net=WAD,
        target_block=100 if signed else None,
        priority_fee=10**9 if signed else None,
    )


@pytest.mark.parametrize("status", [Status.SENT, Status.REVERTED, Status.DROPPED])
def test_what_was_signed_was_outrun_however_it_ended(status: Status) -> None:
    ours = Ours(since=98, left=LEFT, part=part(status, signed=True))
    cause, detail = cause_of(ours, SCENE)
    assert cause is Cause.OUTRUN
    assert detail.startswith("ours was out for block 100 at a priority fee of 1000000000 wei")
    assert detail.endswith("theirs paid 3000000000 at place 3")
    assert ours.net == WAD


def test_what_was_only_shown_is_told_as_disarmed() -> None:
    ours = Ours(since=98, left=None, part=part(Status.SIMULATED, signed=False))
    assert cause_of(ours, SCENE) == (Cause.DISARMED, "shown and not sent")


def test_what_was_left_alone_has_its_reason() -> None:
    ours = Ours(since=98, left=replace(LEFT, net_wei=-5), part=None)
    assert cause_of(ours, SCENE) == (Cause.LEFT, "no_route: no pool")
    assert ours.net == -5


def test_what_nobody_had_seen_under_the_line_fell_and_went_in_one_block() -> None:
    cause, detail = cause_of(NOTHING, SCENE)
    assert cause is Cause.ONE_BLOCK
    assert detail == "not under the line at block 99; the last move: WETH -10.00 % in block 100"
    quiet = cause_of(NOTHING, replace(SCENE, moved=""))
    assert quiet == (Cause.ONE_BLOCK, "not under the line at block 99")


@pytest.mark.parametrize(
    ("looked", "said"),
    [(None, "no account was looked at yet"), (97, "all accounts were looked at last at block 97")],
)
def test_nothing_is_said_of_a_block_that_was_not_looked_at(looked: int | None, said: str) -> None:
    assert cause_of(replace(NOTHING, looked=looked), SCENE) == (Cause.UNSEEN, said)


def test_what_was_seen_before_the_blocks_that_were_passed_over_is_late() -> None:
    cause, _ = cause_of(replace(NOTHING, since=96, looked=97), SCENE)
    assert cause is Cause.LATE


@pytest.mark.parametrize("of", [None, part(Status.INTENDED, signed=False)])
def test_what_was_seen_and_not_signed_in_time_is_late(of: OurPart | None) -> None:
    cause, detail = cause_of(Ours(since=97, left=None, part=of), SCENE)
    assert (cause, detail) == (Cause.LATE, "under the line since block 97, nothing was signed yet")


@pytest.mark.parametrize(
    "status", [Status.LANDED, Status.CANCELLED, Status.REVERTED, Status.DROPPED]
)
def test_what_had_ended_by_then_is_told_so(status: Status) -> None:
    cause, detail = cause_of(Ours(since=97, left=None, part=part(status, signed=False)), SCENE)
    assert cause is Cause.LATE
    assert detail == f"under the line since block 97, ours had ended by then: {status}"


def liquidation() -> Liquidation:
    log = Log(
        address=account(9),
        topics=(hash32(5),),
        data=b"",
        block_number=100,
        block_hash=hash32(100),
        tx_hash=hash32(1),
        index=8,
    )
    return Liquidation(
        ref=REF,
        collateral=WETH,
        debt=USDC,
        liquidator=account(7),
        repaid=2_000 * 10**6,
        seized=WAD,
        protocol_fee=WAD // 100,
        tx_hash=hash32(1),
        log=log,
    )


def test_its_penalty_is_split_as_in_our_own_books() -> None:
    note = told("d", liquidation(), SCENE, NOTHING, gas=77, valuation=VALUATION)
    worth = VALUATION.wei_floor(WETH, WAD)
    assert note.penalty == worth - VALUATION.wei_floor(USDC, 2_000 * 10**6)
    assert note.protocol_fee == worth - VALUATION.wei_floor(WETH, WAD * 99 // 100)
    assert note.bonus == note.penalty - note.protocol_fee
    assert (note.place, note.log_index, note.gas) == (3, 8, 77)
    assert note.collateral.symbol == VALUATION.assets[WETH].symbol


def test_without_prices_it_has_no_worth_and_is_told_all_the_same() -> None:
    note = told("d", liquidation(), SCENE, NOTHING, gas=77, valuation=None)
    assert (note.penalty, note.protocol_fee, note.bonus) == (None, None, None)
    assert note.collateral.symbol == WETH
    assert SCENE.gas == 400_000 * 10 * 10**9 + 5
