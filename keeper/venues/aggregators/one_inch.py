"""1inch, classic swap v6.0: ``GET /swap/v6.0/{chain}/swap``."""

import msgspec
from msgspec import Struct

from keeper.core.ports import Ask
from keeper.core.units import BPS
from keeper.venues.aggregators.answer import Answer, CallSaid, Line, calldata, spelled, whole


class _Token(msgspec.Struct, frozen=True):
    address: str


class _Swap(msgspec.Struct, frozen=True, rename="camel"):
    src_token: _Token
    dst_token: _Token
    dst_amount: str
    tx: CallSaid


class OneInch(Struct, frozen=True, kw_only=True):
    """Asks 1inch, whose router takes the tokens itself."""

    slippage_bps: int

    async def quote(self, line: Line, chain_id: int, ask: Ask) -> Answer:
        """Return 1inch's swap. The answer does not repeat the amount: the chain bounds that."""
        query = {
            "src": ask.token_in,
            "dst": ask.token_out,
            "amount": str(ask.amount_in),
            "from": ask.taker,
            "origin": ask.taker,
            "receiver": ask.taker,
            "slippage": f"{self.slippage_bps * 100 / BPS:g}",
            "disableEstimate": "true",
            "includeTokensInfo": "true",
        }
        said = await line.get(f"/swap/v6.0/{chain_id}/swap", query, _Swap)
        target = spelled(said.tx.to)
        return Answer(
            token_in=spelled(said.src_token.address),
            token_out=spelled(said.dst_token.address),
            amount_in=ask.amount_in,
            amount_out=whole(said.dst_amount),
            target=target,
            spender=target,
            data=calldata(said.tx.data),
            value=whole(said.tx.value),
            gas=whole(said.tx.gas),
            taker=None if said.tx.sender is None else spelled(said.tx.sender),
        )
