"""Several plans as one transaction: their programs one after the other, each paid out by itself.

What one account brought is sent to the recipient before the next one begins, so that the logs tell
whose it is (``executor.dividing``). What one leaves of another token the next may use; it is swept
at the end. The least profit on chain is that of all together.
"""

from collections.abc import Sequence
from typing import Final

from keeper.core.chain import NO_DATA_COST, Transaction
from keeper.core.errors import RefusedError
from keeper.core.plan import Plan
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.program import BalanceOf, Call, Program, Step
from keeper.evm.program_encoder import encode
from keeper.evm.words import selector
from keeper.planner.build import steps
from keeper.planner.offers import Chosen
from keeper.planner.trade import Terms

_TRANSFER: Final = selector("transfer(address,uint256)")


def merged(
    plans: Sequence[Plan], chosen: Sequence[Chosen], terms: Terms, recipient: Address
) -> Plan:
    """Return the first plan with the others as its companions.

    ``chosen`` are what the plans were made of, in the same order. Forecasts are those of each plan
    alone; the gas limit is that of all together. Raises RefusedError when the executor's program
    has no room for them.
    """
    first, *others = plans
    program = Program(
        deadline=min(plan.deadline for plan in plans),
        profit_token=terms.native,
        min_profit=sum(plan.min_profit for plan in plans),
        steps=_all_steps(chosen, terms, recipient),
    )
    transaction = replace(first.transaction, data=_encoded(program))
    gas_limit = sum(plan.gas_limit for plan in plans)
    data_fees = chosen[0].desk.data_fees
    return replace(
        first,
        transaction=transaction,
        gas_limit=gas_limit,
        min_profit=program.min_profit,
        deadline=program.deadline,
        data_cost=data_fees.of(transaction, gas_limit=gas_limit, fees=first.fees),
        companions=tuple(_companion(plan, transaction, program.deadline) for plan in others),
    )


def _encoded(program: Program) -> bytes:
    try:
        return encode(program)
    except ValueError as error:
        msg = f"one program: {error}"
        raise RefusedError(msg) from error


def _all_steps(chosen: Sequence[Chosen], terms: Terms, recipient: Address) -> tuple[Step, ...]:
    """Return the steps of each account with a payment between one and the next."""
    payment = Call(
        target=terms.native,
        selector=_TRANSFER,
        parts=(recipient, BalanceOf(token=terms.native)),
    )
    first, *others = (steps(one.case, terms, one.trade) for one in chosen)
    return (*first, *(step for own in others for step in (payment, *own)))


def _companion(plan: Plan, whole: Transaction, deadline: int) -> Plan:
    """Return the plan without what is of the whole transaction, which the first one has."""
    return replace(
        plan,
        transaction=replace(whole, data=b""),
        gas_limit=0,
        min_profit=0,
        deadline=deadline,
        data_cost=NO_DATA_COST,
    )
