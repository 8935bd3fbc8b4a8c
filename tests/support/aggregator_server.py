"""An aggregator for tests: each one's HTTP API as it is documented, over a real router and quoter.

The real ones are services on the internet. This one prices by a call of the chain and answers with
calldata of a real router, in the shape of whichever API it is asked by, and misbehaves on request.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from keeper.app.aggregators import aggregator_for
from keeper.config.aggregators import AggregatorSettings
from keeper.core.units import Address
from keeper.venues.aggregators.desk import Aggregator
from tests.support.ledger_records import account

KINDS = ("zero_x", "one_inch", "paraswap", "odos")
KEY = "canary-of-an-aggregator"
CHAIN_ID = 1
ROUTER = account(0xA66)


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked, in whichever shape."""

    token_in: str
    token_out: str
    amount: int
    taker: str


@dataclass(frozen=True, slots=True)
class Filled:
    """What is answered."""

    amount_out: int
    data: bytes
    gas: int = 130_000


def plain(order: Order) -> Filled:
    """Offer one for one."""
    return Filled(amount_out=order.amount, data=bytes.fromhex("12345678") + bytes(32))


@dataclass
class AggregatorServer:
    router: Address = ROUTER
    fill: Callable[[Order], Filled] = plain
    alter: Callable[[Any], Any] = lambda answer: answer
    """Of the answer before it is JSON."""
    raw: bytes | None = None
    """Answered instead of anything else."""
    status: int = 200
    silent: bool = False
    port: int = 0
    asked: list[Mapping[str, str]] = field(default_factory=list)
    """Headers of each request."""
    orders: dict[str, Order] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self, request: web.Request, answer: object) -> web.Response:
        self.asked.append(dict(request.headers))
        body = self.raw
        if body is None:
            body = json.dumps(self.alter(answer)).encode()
        return web.Response(body=body, status=self.status, content_type="application/json")

    def transaction(self, order: Order, filled: Filled) -> dict[str, Any]:
        return {
            "from": order.taker,
            "to": self.router,
            "data": "0x" + filled.data.hex(),
            "value": "0",
        }

    async def zero_x(self, request: web.Request) -> web.Response:
        await self.wait()
        q = request.query
        assert request.headers["0x-version"] == "v2"
        assert q["chainId"] == str(CHAIN_ID)
        order = Order(q["sellToken"], q["buyToken"], int(q["sellAmount"]), q["taker"])
        filled = self.fill(order)
        call = self.transaction(order, filled) | {"gas": str(filled.gas), "gasPrice": "1000000000"}
        del call["from"]
        answer = {
            "allowanceTarget": self.router,
            "blockNumber": "1",
            "buyAmount": str(filled.amount_out),
            "buyToken": order.token_out,
            "fees": {"integratorFee": None, "zeroExFee": None, "gasFee": None},
            "issues": {"simulationIncomplete": False, "invalidSourcesPassed": []},
            "liquidityAvailable": True,
            "minBuyAmount": str(filled.amount_out * 99 // 100),
            "sellAmount": str(order.amount),
            "sellToken": order.token_in,
            "transaction": call,
        }
        return self.said(request, answer)

    async def one_inch(self, request: web.Request) -> web.Response:
        await self.wait()
        q = request.query
        order = Order(q["src"], q["dst"], int(q["amount"]), q["from"])
        assert q["receiver"] == q["from"]
        filled = self.fill(order)
        call = self.transaction(order, filled) | {"gas": 0, "gasPrice": "1000000000"}
        answer = {
            "srcToken": {"address": order.token_in, "symbol": "IN", "decimals": 18},
            "dstToken": {"address": order.token_out, "symbol": "OUT", "decimals": 18},
            "dstAmount": str(filled.amount_out),
            "tx": call,
        }
        return self.said(request, answer)

    async def paraswap(self, request: web.Request) -> web.Response:
        await self.wait()
        q = request.query
        assert (q["side"], q["version"], q["network"]) == ("SELL", "6.2", str(CHAIN_ID))
        order = Order(q["srcToken"], q["destToken"], int(q["amount"]), q["userAddress"])
        filled = self.fill(order)
        answer = {
            "priceRoute": {
                "blockNumber": 1,
                "network": CHAIN_ID,
                "srcToken": order.token_in,
                "srcDecimals": int(q["srcDecimals"]),
                "srcAmount": str(order.amount),
                "destToken": order.token_out,
                "destDecimals": int(q["destDecimals"]),
                "destAmount": str(filled.amount_out),
                "gasCost": str(filled.gas),
                "side": "SELL",
                "tokenTransferProxy": self.router,
                "contractAddress": self.router,
            },
            "txParams": self.transaction(order, filled) | {"chainId": CHAIN_ID},
        }
        return self.said(request, answer)

    async def odos_quote(self, request: web.Request) -> web.Response:
        q = await request.json()
        (sold,), (bought,) = q["inputTokens"], q["outputTokens"]
        path = f"path{len(self.orders)}"
        self.orders[path] = Order(
            sold["tokenAddress"], bought["tokenAddress"], int(sold["amount"]), q["userAddr"]
        )
        return web.json_response({"pathId": path, "outAmounts": ["0"], "gasEstimate": 1.5})

    async def odos_assemble(self, request: web.Request) -> web.Response:
        await self.wait()
        q = await request.json()
        order = self.orders[q["pathId"]]
        filled = self.fill(order)
        call = self.transaction(order, filled) | {"gas": filled.gas * 2, "nonce": 0, "chainId": 1}
        answer = {
            "blockNumber": 1,
            "gasEstimate": filled.gas,
            "inputTokens": [{"tokenAddress": order.token_in, "amount": str(order.amount)}],
            "outputTokens": [{"tokenAddress": order.token_out, "amount": str(filled.amount_out)}],
            "transaction": call,
            "simulation": None,
        }
        return self.said(request, answer)

    async def wait(self) -> None:
        if self.silent:
            await asyncio.Event().wait()


@asynccontextmanager
async def serving(server: AggregatorServer) -> AsyncIterator[AggregatorServer]:
    """Listen on a free port while the block runs."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/swap/allowance-holder/quote", server.zero_x),
            web.get(f"/swap/v6.0/{CHAIN_ID}/swap", server.one_inch),
            web.get("/swap", server.paraswap),
            web.post("/sor/quote/v2", server.odos_quote),
            web.post("/sor/assemble", server.odos_assemble),
        ]
    )
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(
    kind: str, server: AggregatorServer, **changed: object
) -> AsyncIterator[Aggregator]:
    """Give what asks the server as one aggregator; it was given a key by the environment."""
    settings = AggregatorSettings.model_validate(
        {
            "kind": kind,
            "url": server.url,
            "targets": [server.router],
            "spenders": [server.router],
            "deadline_ms": 5_000,
            **changed,
        }
    )
    async with aiohttp.ClientSession() as session:
        yield aggregator_for(settings, session, chain_id=CHAIN_ID, slippage_bps=100)
