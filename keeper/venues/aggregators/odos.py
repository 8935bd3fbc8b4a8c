"""Odos, smart order routing v2: ``POST /sor/quote/v2``, then ``POST /sor/assemble``."""

import msgspec
from msgspec import Struct

from keeper.core.errors import RefusedError
from keeper.core.ports import Ask
from keeper.core.units import BPS
from keeper.evm.hashing import checksum_address
from keeper.venues.aggregators.answer import Answer, CallSaid, Line, calldata, spelled, whole


class _Quote(msgspec.Struct, frozen=True, rename="camel"):
    path_id: str


class _Amount(msgspec.Struct, frozen=True, rename="camel"):
    token_address: str
    amount: int | str


class _Assembled(msgspec.Struct, frozen=True, rename="camel"):
    input_tokens: list[_Amount]
    output_tokens: list[_Amount]
    transaction: CallSaid
    gas_estimate: float = 0


class Odos(Struct, frozen=True, kw_only=True):
    """Asks Odos, whose router takes the tokens itself."""

    slippage_bps: int

    async def quote(self, line: Line, chain_id: int, ask: Ask) -> Answer:
        """Return the path that Odos assembled."""
        taker = checksum_address(ask.taker)
        wanted = {
            "chainId": chain_id,
            "inputTokens": [
                {"tokenAddress": checksum_address(ask.token_in), "amount": str(ask.amount_in)}
            ],
            "outputTokens": [{"tokenAddress": checksum_address(ask.token_out), "proportion": 1}],
            "userAddr": taker,
            "slippageLimitPercent": self.slippage_bps * 100 / BPS,
            "disableRFQs": True,
            "compact": True,
        }
        path = await line.post("/sor/quote/v2", wanted, _Quote)
        body = {"userAddr": taker, "pathId": path.path_id, "simulate": False, "receiver": taker}
        said = await line.post("/sor/assemble", body, _Assembled)
        if len(said.input_tokens) != 1 or len(said.output_tokens) != 1:
            raise RefusedError("expected one token for one token, found others")
        return _answer(said, said.input_tokens[0], said.output_tokens[0])


def _answer(said: _Assembled, sold: _Amount, bought: _Amount) -> Answer:
    call = said.transaction
    target = spelled(call.to)
    return Answer(
        token_in=spelled(sold.token_address),
        token_out=spelled(bought.token_address),
        amount_in=whole(sold.amount),
        amount_out=whole(bought.amount),
        target=target,
        spender=target,
        data=calldata(call.data),
        value=whole(call.value),
        gas=max(int(said.gas_estimate), 0),
        taker=None if call.sender is None else spelled(call.sender),
    )
