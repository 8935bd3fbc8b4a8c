"""What the adapter foretells of an offer, and what the pool does with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from keeper.chain.records import LogRecord
from keeper.core.chain import Log
from keeper.core.lending import AccountRef
from keeper.core.units import MAX_UINT256, Address, address_of_word
from keeper.core.values import replace
from keeper.devnet.live import LiveMarket
from keeper.protocols.aave_v3 import codec
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.case import Case, case_of, leaves_no_collateral
from keeper.protocols.aave_v3.codec import topic
from keeper.protocols.aave_v3.health import assess
from keeper.protocols.aave_v3.liquidation import close_factor_limit, quote
from keeper.protocols.aave_v3.refusals import PoolRefusedError, Refusal, revert_data
from keeper.protocols.aave_v3.seizing import available_collateral, clipped_fee
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from tests.support.parity.deficit import written_off

DEFICIT_CREATED = topic("DeficitCreated(address,address,uint256)")

EVERYTHING = MAX_UINT256

_ENDLESS = 2**200
_GAS = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A liquidation that somebody might send."""

    ref: AccountRef
    collateral: Address
    debt: Address
    amount: int
    receive: bool

    def transaction(self, live: LiveMarket) -> dict[str, str]:
        """Return it as a transaction of the account that has tokens of every kind."""
        return {
            "from": live.market.accounts.supplier,
            "to": live.market.pool,
            "gas": hex(_GAS),
            "data": "0x" + self.data(live).hex(),
        }

    def data(self, live: LiveMarket) -> bytes:
        pair = (self.collateral, self.debt)
        terms = (*pair, self.ref.account, self.amount, self.receive)
        return live.pool.encode("liquidationCall", *terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A liquidation as it happens: repaid, what the liquidator gets, and what is written off."""

    repay: int
    net: int
    fee: int
    deficits: Mapping[Address, int] = field(default_factory=dict)


Verdict = Outcome | Refusal


def foretell(view: AaveMarket, position: AavePosition, offer: Offer) -> Verdict:
    """Return what the adapter's rules say of an offer as it stands.

    A liquidator that takes aTokens needs no cash of the reserve, and may get none.
    """
    if offer.receive:
        view = replace(
            view,
            reserves=tuple(r and replace(r, cash=_ENDLESS, held=_ENDLESS) for r in view.reserves),
        )
    collateral, debt = view.reserve(offer.collateral), view.reserve(offer.debt)
    assert collateral is not None
    assert debt is not None
    case = case_of(view, position, collateral, debt, assess(view, position))
    repay = min(offer.amount, close_factor_limit(view.rules, case))
    try:
        quote(view, case, offer.amount)
    except PoolRefusedError as e:
        burns_no_collateral = offer.receive and e.refusal is Refusal.BURN_OF_NOTHING
        if not burns_no_collateral or not _burns_debt(view, case, repay):
            return e.refusal
    seizure = available_collateral(view.rules, case.pair, repay)
    index = case.collateral_line.liquidity_index
    fee = clipped_fee(view.rules, seizure, case.scaled_collateral, index) if seizure.fee else 0
    return Outcome(
        repay=seizure.repay,
        net=seizure.net,
        fee=fee,
        deficits=written_off(view, position, case, seizure),
    )


def _burns_debt(view: AaveMarket, case: Case, repay: int) -> bool:
    """Tell whether the debt's side of a liquidation burns anything."""
    seizure = available_collateral(view.rules, case.pair, repay)
    burned = min(seizure.repay, case.variable_debt)
    if view.rules.whole_position_rule and leaves_no_collateral(view.rules, case, seizure):
        burned = case.variable_debt
    if case.variable_debt == 0:
        return seizure.repay > 0
    return view.rules.scaled_burn_debt(burned, case.variable_index) > 0


def is_refused_as(verdict: Refusal, view: AaveMarket, answer: str) -> bool:
    """Tell whether a revert's data is that of a refusal."""
    expected = revert_data(verdict, custom_errors=view.rules.custom_errors)
    return expected is None or answer == "0x" + expected.hex()


def try_out(
    live: LiveMarket, offers: Sequence[dict[str, str]], timestamp: int
) -> list[tuple[bool, str, tuple[Log, ...]]]:
    """Run transactions on the newest state, each for itself; return success, answer and logs."""
    replies = live.rpc.batch(
        (
            "eth_simulateV1",
            [
                {
                    "blockStateCalls": [
                        {"calls": [one], "blockOverrides": {"time": hex(timestamp)}}
                    ],
                    "validation": False,
                },
                "latest",
            ],
        )
        for one in offers
    )
    calls = [reply[0]["calls"][0] for reply in replies]
    return [(call["status"] == "0x1", call["returnData"], logs_of(call)) for call in calls]


def logs_of(source: Mapping[str, Any]) -> tuple[Log, ...]:
    """Return the logs of a receipt or of a simulated call."""
    records = msgspec.convert(source["logs"], tuple[LogRecord, ...])
    return tuple(record.value() for record in records)


def outcome_of(adapter: AaveAdapter, view: AaveMarket, logs: Sequence[Log]) -> Outcome:
    """Return what the logs of one liquidation say, through the adapter's own decoding."""
    (one,) = adapter.decode(view, logs)
    deficits = {
        address_of_word(log.topics[2]): codec.int_at(log.data, 0)
        for log in logs
        if log.topics[0] == DEFICIT_CREATED
    }
    return Outcome(
        repay=one.repaid,
        net=one.seized - one.protocol_fee,
        fee=one.protocol_fee,
        deficits=deficits,
    )
