"""The executor's calls: accrue where it helps, liquidate, redeem, wrap."""

from collections.abc import Iterator

from keeper.core.lending import Held, Option, ProtocolCall, SeizeQuote
from keeper.core.units import Address
from keeper.evm.words import word_of_int
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.case import KEY_SEPARATOR, NO_MARKET, market_at
from keeper.protocols.compound_v2.state import Deployment, Market


def liquidating(
    view: Deployment, account: Address, option: Option, quote: SeizeQuote
) -> tuple[ProtocolCall, ...]:
    """Return the calls of a quoted liquidation; they end with the underlying in hand.

    A market that refuses softly leaves nothing to redeem: ``redeem(0)`` succeeds, and the program
    fails where the underlying is missing.
    """
    collateral, debt = (market_at(view, Address(one)) for one in option.key.split(KEY_SEPARATOR))
    offer = quote.repay if quote.offer is None else quote.offer
    accruals = (
        ProtocolCall(target=view.markets[one].token, data=codec.ACCRUE_INTEREST)
        for one in quote.inputs
    )
    return (
        *accruals,
        *_unwrap(debt, quote.repay),
        _liquidate(view, account, collateral, debt, offer, quote.repay),
        *_redeem(collateral),
    )


def _unwrap(debt: Market, repay: int) -> Iterator[ProtocolCall]:
    if debt.native:
        yield ProtocolCall(target=debt.asset, data=codec.WITHDRAW + word_of_int(repay))


def _liquidate(
    view: Deployment, account: Address, collateral: Market, debt: Market, offer: int, repay: int
) -> ProtocolCall:
    """Return the call that liquidates; what of the offer is paid is its allowance."""
    through = view.liquidator
    target = debt.token if through is None else through.address
    if through is not None:
        data = codec.liquidate_through(debt.token, account, offer, collateral.token)
    elif debt.number == NO_MARKET:
        data = codec.liquidate_vai(account, offer, collateral.token)
    elif debt.native:
        data = codec.liquidate_native(account, collateral.token)
    else:
        data = codec.liquidate(account, offer, collateral.token)
    if debt.native:
        return ProtocolCall(target=target, data=data, value=repay)
    return ProtocolCall(target=target, data=data, token=debt.asset, spender=target, amount=repay)


def _redeem(collateral: Market) -> Iterator[ProtocolCall]:
    """Redeem every cToken held, and wrap native coin."""
    yield ProtocolCall(
        target=collateral.token,
        data=codec.REDEEM + word_of_int(0),
        held={0: Held(token=collateral.token)},
    )
    if collateral.native:
        yield ProtocolCall(target=collateral.asset, data=codec.DEPOSIT, value=Held(token=None))
