"""What a tick is held against: an echo of fixed bytes, and a bot as web3.py is usually used."""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Self, cast
from urllib.parse import urlsplit

from eth_account import Account
from web3 import AsyncIPCProvider, AsyncWeb3, WebSocketProvider
from web3.utils.subscriptions import LogsSubscription

from benchmarks.ladder import Ladder
from benchmarks.rows import progress
from keeper.app.drill import sample_event
from keeper.chain.frames import text_frame
from keeper.core.units import Address
from keeper.devnet.assets import ASSETS
from keeper.oracle.chainlink import ANSWER_UPDATED

DRILL_MS = 1
"""Between two drills, of the keeper and of the echo."""
_PATIENCE_S = 20.0
_ANSWER_UPDATED_ABI = {
    "type": "event",
    "name": "AnswerUpdated",
    "anonymous": False,
    "inputs": [
        {"name": "current", "type": "int256", "indexed": True},
        {"name": "roundId", "type": "uint256", "indexed": True},
        {"name": "updatedAt", "type": "uint256", "indexed": False},
    ],
}
_HEALTH_ABI = {
    "name": "getUserAccountData",
    "type": "function",
    "stateMutability": "view",
    "inputs": [{"name": "user", "type": "address"}],
    "outputs": [{"name": f"v{i}", "type": "uint256"} for i in range(6)],
}
_APPROVE_ABI = {
    "name": "approve",
    "type": "function",
    "stateMutability": "nonpayable",
    "inputs": [{"name": "spender", "type": "address"}, {"name": "amount", "type": "uint256"}],
    "outputs": [{"name": "done", "type": "bool"}],
}
_FIXED = (
    b'{"jsonrpc":"2.0","id":77,"method":"eth_sendRawTransaction","params":["0x'
    + b"02" * 300
    + b'"]}\n'
)
"""As long as a liquidation; the node refuses it."""
_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: a2VlcGVyLWVjaG8tYmVuY2g=\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_SAMPLE = sample_event(Address("0x" + "01" * 20), 10**8, 1) + b"\n"


class Echo(asyncio.Protocol):
    """A client on a socket like the keeper's that answers each event with the same bytes.

    Over WebSocket it has shaken hands by itself, and has the node not wait for acknowledgements.
    """

    def __init__(self, symbol: str, transport: str) -> None:
        """Answer the events of one asset's feed."""
        self._is_ws = transport == "ws"
        self._fixed = text_frame(_FIXED, b"mask") if self._is_ws else _FIXED
        self.found: dict[str, list[float]] = {}
        self.echo_us: list[float] = []
        self._symbol = symbol
        self._answer = ASSETS[symbol].price
        self._transport: asyncio.Transport | None = None
        self._heard = asyncio.Event()
        self._shaken = asyncio.Event()

    @classmethod
    async def opened(cls, steps: Ladder, transport: str, symbol: str = "DAI") -> Self:
        """Connect and subscribe."""
        loop = asyncio.get_running_loop()
        made = cls(symbol, transport)
        if made._is_ws:
            node = urlsplit(steps.anvil.ws_url)
            await loop.create_connection(lambda: made, node.hostname, node.port)
        else:
            await loop.create_unix_connection(lambda: made, str(steps.anvil.ipc_path))
        wanted = {"address": steps.live.aggregators[symbol].address, "topics": [ANSWER_UPDATED]}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["logs", wanted]}
        await made._ask(json.dumps(asked).encode() + b"\n")
        made._drilling = asyncio.ensure_future(made._drill())
        return made

    async def _ask(self, request: bytes) -> None:
        if self._transport is None:
            raise AssertionError("a connection")
        if self._is_ws:
            self._transport.write(_HANDSHAKE)
            async with asyncio.timeout(_PATIENCE_S):
                await self._shaken.wait()
        self._transport.write(text_frame(request, b"mask") if self._is_ws else request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")
        self._file = self._socket.fileno()

    def data_received(self, data: bytes) -> None:
        """Answer an event."""
        self._react(data, self._fixed)
        self._shaken.set()
        if self._is_ws:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _react(self, data: bytes, answer: bytes) -> None:
        started = perf_counter_ns()
        if b"eth_subscription" in data:
            os.write(self._file, answer)
            took = (perf_counter_ns() - started) / 1e3
            if answer:
                self.echo_us.append(took)
                self._heard.set()

    async def _drill(self) -> None:
        """Stay as warm as the keeper does."""
        while True:
            await asyncio.sleep(DRILL_MS / 1_000)
            self._react(_SAMPLE, b"")

    async def tick(self, prices: Any) -> None:  # noqa: ANN401 - the process that submits
        """Bring an event that brings nobody under the line."""
        self._heard.clear()
        self._answer = ASSETS[self._symbol].price + (self._answer == ASSETS[self._symbol].price)
        await prices.submit(self._symbol, self._answer)
        async with asyncio.timeout(_PATIENCE_S):
            await self._heard.wait()

    async def close(self) -> None:
        """Disconnect."""
        self._drilling.cancel()
        await asyncio.gather(self._drilling, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    _drilling: "asyncio.Future[None]"


class Web3Bot:
    """Subscribes, decodes, asks for health, fills nonce, gas and fees, signs, sends.

    Its clock starts when web3.py hands it the event, and stops when the bytes are written.
    """

    def __init__(self, steps: Ladder, provider: Any, symbol: str) -> None:  # noqa: ANN401 - web3's
        """Bring a provider that is not connected yet."""
        self.found: dict[str, list[float]] = {}
        self.echo_us: list[float] = []
        self._name = f"web3.py bot, {type(provider).__name__}"
        self._steps, self._provider, self._symbol = steps, provider, symbol
        self._answer = ASSETS[symbol].price
        self._account = Account.create()
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()
        self._started = 0
        self._is_lost = False

    @classmethod
    async def opened(cls, steps: Ladder, transport: str, symbol: str = "WBTC") -> Self:
        """Connect and subscribe."""
        provider: Any = (
            WebSocketProvider(steps.anvil.ws_url)
            if transport == "ws"
            else AsyncIPCProvider(str(steps.anvil.ipc_path))
        )
        made = cls(steps, provider, symbol)
        steps.live.rpc.call("anvil_setBalance", made._account.address, hex(10**24))
        made._w3 = await AsyncWeb3(provider)
        made._send, provider.socket_send = provider.socket_send, made._noted
        address = AsyncWeb3.to_checksum_address(steps.live.aggregators[symbol].address)
        made._feed = made._w3.eth.contract(address, abi=[_ANSWER_UPDATED_ABI])
        market = steps.live.market
        made._pool = made._w3.eth.contract(
            AsyncWeb3.to_checksum_address(market.pool), abi=[_HEALTH_ABI]
        )
        made._token = made._w3.eth.contract(
            AsyncWeb3.to_checksum_address(market.weth), abi=[_APPROVE_ABI]
        )
        await made._w3.subscription_manager.subscribe(
            LogsSubscription(address=address, topics=[ANSWER_UPDATED], handler=made._act)
        )
        made._running = asyncio.ensure_future(
            made._w3.subscription_manager.handle_subscriptions(run_forever=True)
        )
        return made

    async def _act(self, context: Any) -> None:  # noqa: ANN401 - web3's
        self._started = perf_counter_ns()
        self._feed.events.AnswerUpdated().process_log(context.result)
        borrower = AsyncWeb3.to_checksum_address(self._steps.rungs[0])
        await self._pool.functions.getUserAccountData(borrower).call()
        mine = self._account.address
        call = self._token.functions.approve(mine, 1)
        nonce = await self._w3.eth.get_transaction_count(mine)
        made = await call.build_transaction({"from": mine, "nonce": nonce})
        signed = self._account.sign_transaction(made)
        sent = await self._w3.eth.send_raw_transaction(signed.raw_transaction)
        await self._w3.eth.wait_for_transaction_receipt(sent)
        self._sent.put_nowait(sent)

    async def _noted(self, data: bytes) -> None:
        await self._send(data)
        if b"eth_sendRawTransaction" in data:
            took = (perf_counter_ns() - self._started) / 1e3
            self.found.setdefault(self._name, []).append(took)

    async def tick(self, prices: Any) -> None:  # noqa: ANN401 - the process that submits
        """Bring an event that brings nobody under the line, and see the bot's transaction mined.

        A bot that does not answer is not asked again: it is not what is measured.
        """
        if self._running.done() or self._is_lost:
            return
        self._answer = ASSETS[self._symbol].price + (self._answer == ASSETS[self._symbol].price)
        await prices.submit(self._symbol, self._answer)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._sent.get()
        except TimeoutError:
            self._is_lost = True
            progress(f"{self._name} did not answer any more; what it told before counts")

    async def close(self) -> None:
        """Disconnect."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._provider.disconnect()

    _w3: Any
    _feed: Any
    _pool: Any
    _token: Any
    _running: "asyncio.Future[None]"
    _send: Callable[[bytes], Any]
