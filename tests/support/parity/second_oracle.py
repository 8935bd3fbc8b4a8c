"""What Aave's own LiquidationDataProvider says of a liquidation, beside what is foretold."""

from collections.abc import Mapping, Sequence
from typing import Any

from keeper.core.units import RAY
from keeper.devnet.contract import Contract
from keeper.devnet.rpc import Rpc
from keeper.protocols.aave_v3.refusals import Refusal
from keeper.protocols.aave_v3.state import AaveMarket
from tests.support.parity.foretelling import Offer, Outcome, Verdict

_FUNCTION = "getLiquidationInfo(address,address,address)"

Amounts = tuple[int, int, int] | None
"""Collateral of the liquidator, debt repaid, protocol fee; None where the provider reverts."""


def ask_provider(rpc: Rpc, provider: Contract, offers: Sequence[Offer]) -> list[Amounts]:
    """Return what the provider says of offering everything, at the newest block."""
    replies = rpc.try_batch(
        ("eth_call", [{"to": provider.address, "data": _question(provider, one)}, "latest"])
        for one in offers
    )
    return [_amounts(provider, reply) for _, reply in replies]


def hold_against(view: AaveMarket, offer: Offer, verdict: Verdict, said: Amounts) -> str:
    """Assert that a verdict on an offer of everything is the provider's; return how it agrees."""
    if verdict is Refusal.NO_BONUS:
        assert said is None, offer
        return "reverts"
    assert said is not None, (offer, verdict)
    net, repay, fee = said
    if isinstance(verdict, Outcome):
        assert (repay, net) == (verdict.repay, verdict.net), (offer, verdict, said)
        # The provider does not clip the fee to what is left of the balance.
        assert 0 <= fee - verdict.fee <= _grains(view, offer), (offer, verdict, said)
        return "agrees"
    if verdict is Refusal.DUST:
        assert repay > 0, (offer, said)
        return "would leave dust"
    if verdict is Refusal.BURN_OF_NOTHING:
        return "burns nothing"
    assert said == (0, 0, 0), (offer, verdict, said)
    return "refuses"


def _question(provider: Contract, offer: Offer) -> str:
    terms = (offer.ref.account, offer.collateral, offer.debt)
    return "0x" + provider.encode(_FUNCTION, *terms).hex()


def _amounts(provider: Contract, reply: Mapping[str, Any]) -> Amounts:
    if "error" in reply:
        assert reply["error"]["data"] == "0x", reply
        return None
    (info,) = provider.artifact.decode(_FUNCTION, bytes.fromhex(reply["result"][2:]))
    return int(info[3]), int(info[4]), int(info[5])


def _grains(view: AaveMarket, offer: Offer) -> int:
    """Return what rounding to scaled balances can move: an index's worth, and its rounding."""
    line = view.lines[view.ids[offer.collateral]]
    assert line is not None
    return line.liquidity_index // RAY + 1
