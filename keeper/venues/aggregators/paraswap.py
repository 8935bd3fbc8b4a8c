"""ParaSwap (Velora), Market API 6.2: ``GET /swap``."""

import msgspec
from msgspec import Struct

from keeper.core.ports import Ask
from keeper.venues.aggregators.answer import Answer, CallSaid, Line, calldata, spelled, whole


class _Route(msgspec.Struct, frozen=True, rename="camel"):
    src_token: str
    src_amount: str
    dest_token: str
    dest_amount: str
    token_transfer_proxy: str
    gas_cost: int | str = 0


class _Swap(msgspec.Struct, frozen=True, rename="camel"):
    price_route: _Route
    tx_params: CallSaid


class ParaSwap(Struct, frozen=True, kw_only=True):
    """Asks ParaSwap for price and transaction at once."""

    slippage_bps: int

    async def quote(self, line: Line, chain_id: int, ask: Ask) -> Answer:
        """Return ParaSwap's swap."""
        query = {
            "srcToken": ask.token_in,
            "srcDecimals": str(ask.decimals[0]),
            "destToken": ask.token_out,
            "destDecimals": str(ask.decimals[1]),
            "amount": str(ask.amount_in),
            "side": "SELL",
            "network": str(chain_id),
            "userAddress": ask.taker,
            "receiver": ask.taker,
            "slippage": str(self.slippage_bps),
            "version": "6.2",
        }
        said = await line.get("/swap", query, _Swap)
        route, call = said.price_route, said.tx_params
        return Answer(
            token_in=spelled(route.src_token),
            token_out=spelled(route.dest_token),
            amount_in=whole(route.src_amount),
            amount_out=whole(route.dest_amount),
            target=spelled(call.to),
            spender=spelled(route.token_transfer_proxy),
            data=calldata(call.data),
            value=whole(call.value),
            gas=whole(route.gas_cost),
            taker=None if call.sender is None else spelled(call.sender),
        )
