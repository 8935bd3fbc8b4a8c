"""0x, Swap API v2 by AllowanceHolder: ``GET /swap/allowance-holder/quote``."""

import msgspec
from msgspec import Struct

from keeper.core.errors import RefusedError
from keeper.core.ports import Ask
from keeper.venues.aggregators.answer import Answer, CallSaid, Line, calldata, spelled, whole


class _Quote(msgspec.Struct, frozen=True, rename="camel"):
    buy_amount: str
    buy_token: str
    sell_amount: str
    sell_token: str
    allowance_target: str
    transaction: CallSaid
    liquidity_available: bool = True


class ZeroX(Struct, frozen=True, kw_only=True):
    """Asks 0x."""

    slippage_bps: int

    async def quote(self, line: Line, chain_id: int, ask: Ask) -> Answer:
        """Return 0x's quote."""
        query = {
            "chainId": str(chain_id),
            "sellToken": ask.token_in,
            "buyToken": ask.token_out,
            "sellAmount": str(ask.amount_in),
            "taker": ask.taker,
            "slippageBps": str(self.slippage_bps),
        }
        said = await line.get("/swap/allowance-holder/quote", query, _Quote)
        if not said.liquidity_available:
            raise RefusedError("expected liquidity, found none")
        return Answer(
            token_in=spelled(said.sell_token),
            token_out=spelled(said.buy_token),
            amount_in=whole(said.sell_amount),
            amount_out=whole(said.buy_amount),
            target=spelled(said.transaction.to),
            spender=spelled(said.allowance_target),
            data=calldata(said.transaction.data),
            value=whole(said.transaction.value),
            gas=whole(said.transaction.gas),
        )
