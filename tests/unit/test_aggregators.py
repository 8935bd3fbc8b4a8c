"""Aggregators are asked in their own words, and what they answer is believed only when it holds."""

import pytest
from structlog.testing import capture_logs

from keeper.core.ports import Ask
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.venues.aggregators.checks import LEAST_GAS, MOST_DATA, MOST_GAS
from keeper.venues.aggregators.desk import OFFER_REFUSED, Aggregators
from tests.support.aggregator_server import (
    KEY,
    KINDS,
    ROUTER,
    AggregatorServer,
    Filled,
    asking,
    plain,
    serving,
)
from tests.support.ledger_records import EXECUTOR, USDC, WETH, account

ASK = Ask(
    token_in=USDC,
    token_out=WETH,
    amount_in=WAD,
    taker=EXECUTOR,
    fair_out=WAD,
    decimals=(6, 18),
)
THIEF = account(0xBAD)
CODE = bytes.fromhex("12345678")
KEY_VARIABLE = "SOME_AGGREGATOR_KEY"


async def asked(kind: str, server: AggregatorServer, **changed: object):
    """Return the offers and the reasons that were logged."""
    async with serving(server), asking(kind, server, **changed) as one:
        with capture_logs() as logs:
            offers = await Aggregators(members=[one]).offers(ASK)
    assert all(entry["event"] == OFFER_REFUSED for entry in logs)
    return offers, [entry["reason"] for entry in logs]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_holds_is_an_offer(kind):
    (offer,), reasons = await asked(kind, AggregatorServer())
    assert (offer.source, offer.ask, offer.amount_out) == (kind, ASK, WAD)
    assert (offer.target, offer.spender) == (ROUTER, ROUTER)
    assert offer.data == CODE + bytes(32)
    assert offer.gas == LEAST_GAS
    assert reasons == []


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        ("zero_x", "0x-api-key", KEY),
        ("one_inch", "Authorization", f"Bearer {KEY}"),
        ("paraswap", "x-api-key", KEY),
        ("odos", "x-api-key", KEY),
    ],
)
async def test_the_key_goes_in_its_header_and_nowhere_else(monkeypatch, kind, header, value):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    server = AggregatorServer(status=500)
    async with serving(server), asking(kind, server, api_key_env=KEY_VARIABLE) as one:
        with capture_logs() as logs:
            assert await one.offer(ASK) is None
        shown = repr(one)
    headers = {name.lower(): held for name, held in server.asked[0].items()}
    assert headers[header.lower()] == value
    assert KEY not in repr(logs) + shown
    assert str(server.port) not in shown


def into(*path):
    """Return what sets a place of an answer."""

    def alter(value):
        def altered(answer):
            at = answer
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = value
            return answer

        return altered

    return alter


PLACES = {
    "zero_x": {
        "target": into("transaction", "to"),
        "spender": into("allowanceTarget"),
        "value": into("transaction", "value"),
        "token": into("buyToken"),
        "amount": into("sellAmount"),
    },
    "one_inch": {
        "target": into("tx", "to"),
        "value": into("tx", "value"),
        "token": into("dstToken", "address"),
        "taker": into("tx", "from"),
    },
    "paraswap": {
        "target": into("txParams", "to"),
        "spender": into("priceRoute", "tokenTransferProxy"),
        "value": into("txParams", "value"),
        "token": into("priceRoute", "srcToken"),
        "amount": into("priceRoute", "srcAmount"),
        "taker": into("txParams", "from"),
    },
    "odos": {
        "target": into("transaction", "to"),
        "value": into("transaction", "value"),
        "token": into("outputTokens", 0, "tokenAddress"),
        "amount": into("inputTokens", 0, "amount"),
        "taker": into("transaction", "from"),
    },
}
LIES = {
    "target": THIEF,
    "spender": THIEF,
    "value": "1",
    "token": THIEF,
    "amount": str(WAD + 1),
    "taker": THIEF,
}


@pytest.mark.parametrize(
    ("kind", "place"), [(kind, place) for kind, places in PLACES.items() for place in places]
)
async def test_a_lie_is_refused_by_its_name(kind, place):
    offers, (reason,) = await asked(kind, AggregatorServer(alter=PLACES[kind][place](LIES[place])))
    assert offers == []
    assert reason.startswith(place)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("filled", "word"),
    [
        (Filled(amount_out=WAD * 12 // 10 + 1, data=CODE), "output"),
        (Filled(amount_out=0, data=CODE), "output"),
        (Filled(amount_out=WAD, data=CODE[:3]), "calldata"),
        (Filled(amount_out=WAD, data=bytes(MOST_DATA + 1)), "calldata"),
    ],
)
async def test_what_is_out_of_bounds_is_refused(kind, filled, word):
    offers, (reason,) = await asked(kind, AggregatorServer(fill=lambda _: filled))
    assert offers == []
    assert reason.startswith(word)


@pytest.mark.parametrize("kind", ["zero_x", "paraswap", "odos"])
async def test_more_gas_than_a_swap_takes_is_refused(kind):
    greedy = Filled(amount_out=WAD, data=CODE, gas=MOST_GAS + 1)
    offers, (reason,) = await asked(kind, AggregatorServer(fill=lambda _: greedy))
    assert offers == []
    assert reason.startswith("gas")


GARBAGE = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"<html>",
    b"\xff\xfe",
    b"[" * 100_000,
    b'"' + b"x" * 600_000 + b'"',
]


@pytest.mark.parametrize("kind", KINDS)
async def test_garbage_is_refused(kind):
    server = AggregatorServer()
    async with serving(server), asking(kind, server) as one:
        for raw in GARBAGE:
            server.raw = raw
            with capture_logs() as logs:
                assert await one.offer(ASK) is None
            assert [entry["event"] for entry in logs] == [OFFER_REFUSED]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("junk", [None, [], "0xzz", "-1", "1e9", -1, "9" * 400, True, {}])
async def test_a_field_of_junk_is_refused(kind, junk):
    server = AggregatorServer(alter=PLACES[kind]["value"](junk))
    offers, reasons = await asked(kind, server)
    assert offers == []
    assert len(reasons) == 1


async def test_one_that_does_not_answer_in_time_keeps_nobody_waiting():
    slow, good = AggregatorServer(silent=True), AggregatorServer()
    async with (
        serving(slow),
        serving(good),
        asking("zero_x", slow, deadline_ms=1) as never,
        asking("odos", good) as prompt,
    ):
        with capture_logs() as logs:
            offers = await Aggregators(members=[never, prompt]).offers(ASK)
    assert [offer.source for offer in offers] == ["odos"]
    assert [entry["reason"] for entry in logs] == ["expected an answer in 1 ms, found none"]


async def test_one_that_is_not_there_is_refused():
    server = AggregatorServer()
    async with serving(server), asking("odos", server) as one:
        pass
    async with asking("odos", server) as one:
        with capture_logs() as logs:
            assert await one.offer(ASK) is None
    assert [entry["event"] for entry in logs] == [OFFER_REFUSED]


async def test_an_offer_names_what_was_asked_and_not_more():
    server = AggregatorServer(fill=lambda order: replace(plain(order), gas=200_000))
    (offer,), _ = await asked("zero_x", server)
    assert offer.ask is ASK
    assert offer.gas == 200_000
