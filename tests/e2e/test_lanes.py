"""Private lanes against a relay of our own: inclusion by block, misbehaviour, and no leak ever."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from keeper.core.plan import Status
from tests.support.keeper_process import configured, until
from tests.support.market_node import MarketNode
from tests.support.recording_proxy import RecordingProxy, recording_proxy
from tests.support.relay import TestRelay, running_relay
from tests.support.sending_stage import CHEAP, FALLEN, RISEN, SendingStage, armed, stop
from tests.support.sending_stage import stage as staged

SENT = "liquidation.sent"


@pytest.fixture
def relay(market_copy: MarketNode) -> Iterator[TestRelay]:
    with running_relay(market_copy.anvil.http_url) as one:
        yield one


@pytest.fixture
def second(market_copy: MarketNode) -> Iterator[TestRelay]:
    with running_relay(market_copy.anvil.http_url) as one:
        yield one


@pytest.fixture
def public(market_copy: MarketNode) -> Iterator[RecordingProxy]:
    """Between the keeper and the node: sees whatever it would send in public."""
    with recording_proxy(market_copy.anvil.http_url) as proxy:
        yield proxy


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path, public: RecordingProxy) -> SendingStage:
    made = staged(market_copy, tmp_path)
    configured(tmp_path, market_copy, mode="live", executor=made.executor, rpc=public.url)
    return made


def by_lane(stage, lane):
    chain = stage.folder / "chain.yaml"
    text = yaml.safe_load(chain.read_text("utf-8"))
    text["lanes"] = [lane]
    chain.write_text(yaml.safe_dump(text), "utf-8")
    stage.configure(lane=lane["name"])


def by_bundles(stage, *relays):
    by_lane(stage, {"kind": "bundle", "name": "builders", "rpc": [one.url for one in relays]})


def build_seen(stage, keeper, relay, **how):
    """Let the relay build a block, and wait until the keeper has looked at it."""
    seen = len(keeper.events("block.scanned"))
    stage.rpc("anvil_setNextBlockBaseFeePerGas", hex(CHEAP))
    built = relay.build(**how)
    until(lambda: len(keeper.events("block.scanned")) > seen)
    return built


def settle(stage, keeper, relay):
    for _ in range(12):
        if not stage.open_intents():
            return
        build_seen(stage, keeper, relay)
    until(lambda: not stage.open_intents())


def assert_nothing_leaked(public):
    assert not [name for name in public.methods if name.startswith("eth_send")]


def test_bundles_are_signed_included_in_their_block_and_never_seen_in_public(
    stage, relay, second, public
):
    by_bundles(stage, relay, second)
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        until(lambda: bool(relay.bundles) and bool(second.bundles))
        (bundle,) = relay.bundles.values()
        assert {one.txs for one in second.bundles.values()} == {bundle.txs}
        until(lambda: len(keeper.events(SENT)) == len(bundle.txs))
        assert build_seen(stage, keeper, relay) == len(bundle.txs)
        settle(stage, keeper, relay)
        stop(keeper)
    books = stage.books()
    assert {entry.status for entry in books.entries} == {Status.LANDED}
    assert {entry.block for entry in books.entries if entry.tx_hash} >= {bundle.block}
    assert books.total.realised.net == stage.grown()
    assert len({who for _, who in [*relay.asked, *second.asked]}) == 1
    assert stage.operator not in {who for _, who in relay.asked}
    assert_nothing_leaked(public)


def test_a_bundle_that_missed_its_block_is_offered_for_the_next_at_no_cost(stage, relay, public):
    by_bundles(stage, relay)
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        until(lambda: bool(relay.bundles))
        (first,) = relay.bundles.values()
        build_seen(stage, keeper, relay, withhold=True)
        until(lambda: any(one.block == first.block + 1 for one in relay.bundles.values()))
        (again,) = relay.bundles.values()
        assert (again.uuid, again.txs) == (first.uuid, first.txs)
        settle(stage, keeper, relay)
        stop(keeper)
    assert {entry.status for entry in stage.books().entries} == {Status.LANDED}
    assert stage.books().total.realised.net == stage.grown()
    assert_nothing_leaked(public)


def test_a_bundle_whose_accounts_recovered_is_cancelled_at_no_cost(stage, relay, public):
    by_bundles(stage, relay)
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        until(lambda: bool(relay.bundles) and bool(keeper.events(SENT)))
        stage.move(RISEN, base_fee=CHEAP)
        until(lambda: bool(keeper.events("liquidation.given_up")))
        until(lambda: not stage.open_intents())
        assert relay.count("eth_cancelBundle") > 0
        assert not relay.bundles
        stop(keeper)
    assert {entry.status for entry in stage.books().entries} == {Status.DROPPED}
    assert stage.grown() == 0
    assert_nothing_leaked(public)


def test_a_builder_that_stalls_or_refuses_does_not_keep_others_from_including(
    stage, relay, second, public
):
    by_bundles(stage, second, relay)
    second.refuse = "banned"
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        assert not second.bundles
        settle(stage, keeper, relay)
        stop(keeper)
    assert {entry.status for entry in stage.books().entries} == {Status.LANDED}
    assert_nothing_leaked(public)


def test_when_every_builder_refuses_nothing_is_sent_anywhere_else(stage, relay, public):
    by_bundles(stage, relay)
    relay.refuse = "banned"
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        until(lambda: relay.count("eth_sendBundle") > 0)
        for _ in range(3):
            build_seen(stage, keeper, relay)
        assert not keeper.events(SENT)
        assert keeper.interrupt() == 0
    assert stage.rpc("eth_getTransactionCount", stage.operator, "latest") == "0x0"
    assert stage.grown() == 0
    assert_nothing_leaked(public)


def test_a_bundle_that_a_relay_includes_late_ends_in_the_books_all_the_same(stage, relay, public):
    by_bundles(stage, relay)
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        relay.expired += list(relay.bundles.values())
        keeper.kill()
    with armed(stage) as keeper:
        build_seen(stage, keeper, relay, late=True)
        settle(stage, keeper, relay)
        stop(keeper)
    books = stage.books()
    assert Status.LANDED in {entry.status for entry in books.entries}
    assert books.total.realised.net == stage.grown()
    assert_nothing_leaked(public)


def test_private_transactions_go_to_the_relay_alone_and_land(stage, relay, public):
    by_lane(stage, {"kind": "private", "name": "protect", "rpc": relay.url})
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        # The relay has them before the log does.
        until(lambda: len(relay.private) == len(keeper.events(SENT)))
        settle(stage, keeper, relay)
        stop(keeper)
    assert {entry.status for entry in stage.books().entries} == {Status.LANDED}
    assert stage.books().total.realised.net == stage.grown()
    assert_nothing_leaked(public)


def test_a_private_intent_of_an_earlier_run_does_not_go_public_when_the_lane_is_changed(
    stage, relay, public
):
    by_bundles(stage, relay)
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        raws = {tx for one in relay.bundles.values() for tx in one.txs}
        keeper.kill()
    stage.configure(lane="mempool")
    with armed(stage) as keeper:
        for _ in range(3):
            stage.mine_seen(keeper, base_fee=CHEAP)
        until(lambda: bool(keeper.events("transaction.not_replaced")))
        keeper.kill()
    assert raws
    assert "eth_sendRawTransaction" not in public.methods
    assert stage.rpc("eth_getTransactionCount", stage.operator, "latest") == "0x0"
