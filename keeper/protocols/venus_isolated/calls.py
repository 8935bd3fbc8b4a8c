"""The executor's calls: accrue where it helps, liquidate in one of the ways, redeem."""

from keeper.core.lending import Held, Option, ProtocolCall, SeizeQuote
from keeper.core.units import Address
from keeper.evm.words import word_of_int
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.venus_isolated import codec
from keeper.protocols.venus_isolated.case import KEY_SEPARATOR, Way
from keeper.protocols.venus_isolated.state import Deployment, Market


def liquidating(
    view: Deployment, account: Address, option: Option, quote: SeizeQuote
) -> tuple[ProtocolCall, ...]:
    """Return the calls of a quoted liquidation; they end with the underlying in hand."""
    way, *places = option.key.split(KEY_SEPARATOR)
    collateral, debt = (view.markets[view.numbers[Address(one)]] for one in places)
    accruals = (
        ProtocolCall(target=view.markets[one].token, data=family.ACCRUE_INTEREST)
        for one in quote.inputs
    )
    redeem = ProtocolCall(
        target=collateral.token,
        data=family.REDEEM + word_of_int(0),
        held={0: Held(token=collateral.token)},
    )
    return (*accruals, _liquidate(Way(way), account, collateral, debt, quote), redeem)


def _liquidate(
    way: Way, account: Address, collateral: Market, debt: Market, quote: SeizeQuote
) -> ProtocolCall:
    """Return the call itself; whoever is called, the debt's market takes the pay."""
    if way is Way.BORROW:
        target = debt.token
        data = family.liquidate(account, quote.repay, collateral.token)
    elif way is Way.ACCOUNT:
        target = debt.comptroller
        data = codec.liquidate_account(account, collateral.token, debt.token, quote.repay)
    else:
        target = debt.comptroller
        data = codec.heal_account(account)
    return ProtocolCall(
        target=target,
        data=data,
        token=debt.asset,
        spender=debt.token,
        amount=quote.repay + quote.headroom,
    )
