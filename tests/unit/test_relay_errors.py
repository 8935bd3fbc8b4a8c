"""What a relay's error means: a no, or that nobody knows."""

import aiohttp
import pytest

from keeper.chain.endpoint import parse_endpoint
from keeper.chain.relay import Relay
from keeper.core.errors import RefusedError, TransientError
from tests.support.fake_node import Raw, Refusal, fake_node
from tests.support.recursion import usual_recursion

SENT = "eth_sendPrivateTransaction"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("nonce too low", RefusedError),
        ("bundle is too large", RefusedError),
        ("Internal server error", TransientError),
        ("context deadline exceeded", TransientError),
    ],
)
async def test_an_error_of_the_way_to_a_relay_is_no_refusal(
    words: str, kind: type[Exception]
) -> None:
    async with fake_node() as node, aiohttp.ClientSession() as session:
        node.answers[SENT] = lambda _: Refusal(code=-32000, message=words)
        relay = Relay(endpoint=parse_endpoint(node.url), session=session, identity=None)
        with pytest.raises(kind, match=words):
            await relay.ask(SENT, {})


@pytest.mark.parametrize("status", [200, 401, 403, 404])
async def test_json_that_tells_no_result_is_not_taken_for_one(status: int) -> None:
    """As what stands before a relay answers to a key that it does not know."""
    async with fake_node() as node, aiohttp.ClientSession() as session:
        node.faults.append(Raw(body='{"message":"Forbidden"}', status=status))
        relay = Relay(endpoint=parse_endpoint(node.url), session=session, identity=None)
        with pytest.raises(TransientError, match=f"found HTTP {status} without a result"):
            await relay.ask(SENT, {})


async def test_a_result_of_null_is_one() -> None:
    async with fake_node() as node, aiohttp.ClientSession() as session:
        node.answers[SENT] = lambda _: None
        relay = Relay(endpoint=parse_endpoint(node.url), session=session, identity=None)
        assert await relay.ask(SENT, {}) is None


async def test_json_without_end_is_no_result() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    async with fake_node() as node, aiohttp.ClientSession() as session:
        node.faults.append(Raw(body=f'{{"id":1,"result":{deep}}}'))
        relay = Relay(endpoint=parse_endpoint(node.url), session=session, identity=None)
        with usual_recursion(), pytest.raises(TransientError, match="of another shape"):
            await relay.ask(SENT, {})
