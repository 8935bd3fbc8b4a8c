"""From the chosen trade to a plan: program, transaction, forecast."""

from collections.abc import Sequence
from typing import Final

from keeper.core.accounting import Settlement, Waterfall, waterfall
from keeper.core.chain import Fees, Log, Transaction
from keeper.core.errors import InvariantError
from keeper.core.gas_limit import gas_limit_of
from keeper.core.lending import Held, Liquidation, ProtocolCall
from keeper.core.plan import LoanKind, Plan
from keeper.core.units import ZERO_ADDRESS, Hash32
from keeper.evm.program import (
    Approval,
    BalanceOf,
    Call,
    Flash,
    FlashKind,
    Known,
    Operand,
    PayLater,
    Program,
    Step,
    Tip,
    call_parts,
)
from keeper.evm.program_encoder import encode
from keeper.planner.case import Case, Desk
from keeper.planner.swap_legs import legs
from keeper.planner.swap_steps import bought_first_step, offer_steps, purchase_steps, sale_steps
from keeper.planner.trade import Terms, Trade

_PLAIN_LOAN: Final = bytes.fromhex("e0232b42")
"""Of ``flashLoan(address,uint256,bytes)``."""
_PLAIN_LOAN_HEAD: Final = 96
"""Bytes of its arguments before those of the callback."""
_FLASH_KINDS: Final = {
    LoanKind.FLASH_SIMPLE: FlashKind.SIMPLE,
    LoanKind.FLASH_POOL: FlashKind.POOL,
    LoanKind.FLASH_VAULT: FlashKind.VAULT,
    LoanKind.FLASH_3156: FlashKind.ERC_3156,
}
_NO_HASH: Final = Hash32("0x" + "00" * 32)
_SHORT: Final = 8
"""Digits of a head's hash in a plan's id."""


def build_plan(case: Case, desk: Desk, terms: Terms, trade: Trade) -> Plan:
    """Return the plan that carries the trade out."""
    opportunity, least_net = case.opportunity, least(case, terms, trade)
    min_profit = terms.limits.min_received(trade.assured, trade.gas, least_net)
    deadline = opportunity.timestamp + terms.limits.deadline_s
    program = Program(
        deadline=deadline,
        profit_token=terms.native,
        min_profit=min_profit,
        steps=steps(case, terms, trade),
        tip=Tip(amount=trade.tip, unwrap=terms.native) if trade.tip else None,
    )
    transaction = Transaction(sender=terms.operator, to=terms.executor, data=encode(program))
    fees = bid(desk.fees, trade.bid)
    gas_limit = gas_limit_of(trade.gas_units, opportunity.block.number) + trade.data.gas
    data_cost = desk.data_fees.of(transaction, gas_limit=gas_limit, fees=fees)
    gas_price = desk.gas_price + trade.bid
    return Plan(
        id=plan_id(case),
        deployment=case.deployment,
        opportunity=opportunity,
        option=trade.option,
        quote=trade.seize,
        steps=trade.steps if len(trade.steps) > 1 else (),
        funding=trade.funding,
        route=legs(trade),
        transaction=transaction,
        gas_limit=gas_limit,
        fees=fees,
        tip=trade.tip,
        min_profit=min_profit,
        deadline=deadline,
        forecast=forecast(
            case, terms, trade, gas=trade.gas_units * gas_price + data_cost.at(gas_price)
        ),
        valuation=case.valuation,
        data_cost=data_cost,
        least_net=least_net,
        forced=trade.forced,
        unwound=None if trade.redeemed is None else trade.redeemed.unwound,
    )


def least(case: Case, terms: Terms, trade: Trade) -> int:
    """Return the least that the trade must net, wei; of a forced one how far it may be negative."""
    if trade.forced:
        return -(terms.limits.max_forced_loss or 0)
    repaid = case.valuation.wei_floor(trade.option.debt, trade.seize.repay)
    return terms.limits.required_net(repaid)


def bid(fees: Fees, more: int) -> Fees:
    """Return fees with a priority that is raised by ``more`` wei per gas."""
    return Fees(max_fee=fees.max_fee + more, priority_fee=fees.priority_fee + more)


def plan_id(case: Case) -> str:
    """Return a name that is the account's at this head, and no other's.

    It names no pair: what is remade for another one is what was asked of the journal before. The
    market is whole: anybody can make markets whose names end alike.
    """
    head, ref = case.opportunity.block, case.opportunity.ref
    at = f"{head.number}-{head.hash[-_SHORT:]}"
    return f"{case.deployment}:{ref.market}:{ref.account}:{at}"


def forecast(case: Case, terms: Terms, trade: Trade, *, gas: int) -> Waterfall:
    """Return the waterfall of the trade as if it had been executed as quoted, for so much gas."""
    predicted = tuple(
        Liquidation(
            ref=case.opportunity.ref,
            collateral=trade.option.collateral,
            debt=trade.option.debt,
            liquidator=terms.executor,
            repaid=step.repay,
            seized=step.seized,
            protocol_fee=step.protocol_fee,
            tx_hash=_NO_HASH,
            log=_no_log(case),
        )
        for step in trade.steps
    )
    settlement = Settlement(
        liquidations=predicted,
        flash_fee_asset=trade.funding.asset,
        flash_fee=trade.funding.fee,
        received=trade.received,
        tip=trade.tip,
        gas=gas,
    )
    return waterfall(settlement, case.valuation)


def steps(case: Case, terms: Terms, trade: Trade) -> tuple[Step, ...]:
    """Return the executor's steps: borrow, liquidate, buy back what is owed, sell the rest.

    Collateral that is not swapped itself is redeemed as soon as it is at hand.

    The rest is sold after the loan is repaid, so that a sale through the debt asset cannot sell
    what the lender is owed; but before it where what is owed is bought out of the sale.
    """
    calls = tuple(
        call for step in trade.steps for call in case.calls(trade.option, step, terms.executor)
    )
    sale = sale_steps(trade.sale)
    if trade.offer is not None:
        sale = offer_steps(trade.offer, trade.sale)
    bought, before = purchase_steps((*trade.repay, *trade.buyback)), len(trade.repay)
    inner = bought
    if trade.route.sale_repays or trade.buyback:
        inner, sale = (*bought[:before], *sale, *bought[before:]), ()
    funded = _funded(trade, calls, _redemption(terms, trade), inner)
    return (funded, *sale)


def _redemption(terms: Terms, trade: Trade) -> tuple[Step, ...]:
    """Return the step that redeems the collateral, none where it is swapped itself."""
    if trade.redeemed is None:
        return ()
    return (protocol_call(trade.redeemed.book.call(terms.executor)),)


def _funded(
    trade: Trade,
    calls: Sequence[ProtocolCall],
    redemption: tuple[Step, ...],
    inner: tuple[Step, ...],
) -> Step:
    """Return the step in which the liquidation is funded; ``inner`` finds what is owed."""
    funding = trade.funding
    if funding.kind is LoanKind.PAID_LATER:
        return _paid_later(calls, (*redemption, *inner))
    liquidation = (*(protocol_call(call) for call in calls), *redemption)
    if funding.kind is LoanKind.BOUGHT_FIRST:
        # Nothing is at hand before, so that what the pool may take is bounded by the spoils.
        return bought_first_step(trade.route.repay[0], funding.amount, liquidation)
    inner = (*liquidation, *inner)
    if funding.kind is LoanKind.FLASH_PLAIN:
        return PayLater(
            target=funding.lender,
            token=funding.asset,
            limit=funding.amount,
            selector=_PLAIN_LOAN,
            parts=(funding.asset, funding.amount, _PLAIN_LOAN_HEAD),
            inner=inner,
        )
    return Flash(
        lender=funding.lender,
        asset=funding.asset,
        amount=funding.amount,
        inner=inner,
        kind=_FLASH_KINDS[funding.kind],
    )


def _paid_later(calls: Sequence[ProtocolCall], inner: tuple[Step, ...]) -> PayLater:
    """Return the protocol's one call, which is paid after its callback."""
    selector, words = call_parts(calls[0].data)
    token = calls[0].token
    if len(calls) != 1 or token is None or words[-1:] != (0,):
        msg = f"expected one call with an allowance that ends in empty bytes, found {calls}"
        raise InvariantError(msg)
    return PayLater(
        target=calls[0].target,
        token=token,
        limit=calls[0].amount,
        selector=selector,
        parts=words[:-1],
        inner=inner,
    )


def protocol_call(call: ProtocolCall) -> Call:
    """Return a protocol's call as a step, with its balances as operands."""
    selector, words = call_parts(call.data)
    parts = tuple(
        _operand(call.held[i]) if i in call.held else word for i, word in enumerate(words)
    )
    approval = None
    if call.token is not None and call.spender is not None:
        approval = Approval(token=call.token, spender=call.spender, amount=call.amount)
    value = _operand(call.value) if isinstance(call.value, Held) else call.value
    return Call(target=call.target, selector=selector, parts=parts, approval=approval, value=value)


def _operand(held: Held) -> Operand:
    return Known.NATIVE if held.token is None else BalanceOf(token=held.token)


def _no_log(case: Case) -> Log:
    """Return the log of a liquidation that has not happened; no figure comes from it."""
    return Log(
        address=ZERO_ADDRESS,
        topics=(),
        data=b"",
        block_number=case.opportunity.block.number,
        block_hash=case.opportunity.block.hash,
        tx_hash=_NO_HASH,
        index=0,
    )
