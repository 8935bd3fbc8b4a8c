"""Opening a chain: one line for everything that may be wrong with the node."""

from collections.abc import AsyncIterator

import pytest

from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import ChainOptions, open_chain
from keeper.core.errors import ConfigError
from keeper.core.units import address
from tests.support.fake_node import HTML, FakeNode, Raw, Refusal, fake_node
from tests.support.instant_clock import InstantClock

MULTICALL = address("0x" + "ca" * 20)
MAINNET = ChainOptions(
    chain_id=1,
    chain_id_key="config/chains/ethereum.yaml: chain_id",
    multicall3=MULTICALL,
    retry=RetryPolicy(timeout_s=30.0),
)


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as made:
        yield made


async def refusal(urls: str | list[str]) -> str:
    with pytest.raises(ConfigError) as found:
        async with open_chain(urls, MAINNET, clock=InstantClock()):
            pass
    assert "\n" not in str(found.value)
    return str(found.value)


async def test_the_right_chain_opens_over_http_and_websocket(node: FakeNode) -> None:
    for url in (node.url, node.ws_url):
        async with open_chain(url, MAINNET) as chain:
            assert await chain.wire.chain_id() == 1


async def test_another_chain_is_refused_with_what_was_expected_and_where(node: FakeNode) -> None:
    node.answers["eth_chainId"] = lambda _: "0x7a69"
    assert await refusal(node.url + "/k3y") == (
        f"chain id: expected 1 (config/chains/ethereum.yaml: chain_id), found 31337 at {node.url}"
    )


async def test_a_second_url_on_another_chain_is_refused(node: FakeNode) -> None:
    async with fake_node() as other:
        other.answers["eth_chainId"] = lambda _: "0x2"
        assert f"found 2 at {other.ws_url}" in await refusal([node.url, other.ws_url])


async def test_html_is_said_to_be_html(node: FakeNode) -> None:
    node.faults.extend([HTML] * 100)
    assert await refusal(node.url) == (f"rpc: {node.url}: expected a JSON-RPC reply, found HTML")


async def test_nobody_there_is_said_in_one_line() -> None:
    assert await refusal("http://127.0.0.1:1/k3y") == (
        "rpc: http://127.0.0.1:1: expected to connect, found Connection refused"
    )


async def test_an_unknown_host_is_said_in_one_line() -> None:
    said = await refusal("https://no-such-host.invalid/k3y")
    assert said.startswith("rpc: https://no-such-host.invalid: expected the host to resolve")


async def test_no_socket_is_said_in_one_line() -> None:
    said = await refusal("/nowhere/node.ipc")
    assert said.startswith("rpc: ipc:/nowhere/node.ipc: expected a node's socket, found No such")


async def test_a_refusal_at_the_door_is_said_in_one_line(node: FakeNode) -> None:
    node.faults.append(Raw(body="forbidden", status=401))
    assert await refusal(node.url) == (
        f"rpc: {node.url}: eth_chainId: expected a result, found error 401: HTTP 401"
    )


async def test_a_node_without_the_method_is_said_in_one_line(node: FakeNode) -> None:
    node.answers["eth_chainId"] = lambda _: Refusal(code=-32601, message="Method\nnot found")
    assert "error -32601: Method not found" in await refusal(node.url)


async def test_a_chain_id_that_is_no_number_is_said_in_one_line(node: FakeNode) -> None:
    node.answers["eth_chainId"] = lambda _: "mainnet"
    assert await refusal(node.url) == "rpc: expected a hex quantity, found 'mainnet'"


async def test_no_url_is_refused() -> None:
    assert await refusal([]) == "rpc urls: expected at least one, found none"


async def test_a_node_without_simulation_is_found_out_by_the_probe(node: FakeNode) -> None:
    async with open_chain(node.url, MAINNET) as chain:
        with pytest.raises(ConfigError, match=r"a node with eth_simulateV1, found 'Method not"):
            await chain.simulator.probe()


async def test_what_the_block_raises_is_raised_as_itself(node: FakeNode) -> None:
    async def use() -> None:
        async with open_chain(node.ws_url, MAINNET):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await use()
