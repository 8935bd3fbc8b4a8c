"""Reading a market that is not what it should be."""

import asyncio
from collections.abc import Sequence

import pytest

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.errors import ConfigError, DriftError
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.protocols.aave_v3 import codec
from keeper.protocols.aave_v3.codec import word_of_address, word_of_int
from keeper.protocols.aave_v3.positions import read_positions
from keeper.protocols.aave_v3.revision import V3_0, V3_1, V3_7
from keeper.protocols.aave_v3.roots import Asking, read_root, read_sentinel, sequencer_status
from keeper.protocols.aave_v3.state import AavePosition, StableDebt
from tests.support.aave_market import (
    ALICE,
    CONFIGURATOR,
    ORACLE,
    POOL,
    PROVIDER,
    RESERVES,
    market,
    ref,
    token,
)

BLOCK = BlockRef(
    number=7,
    hash=Hash32("0x" + "77" * 32),
    parent_hash=Hash32("0x" + "66" * 32),
    timestamp=1_700_000_000,
    base_fee=0,
    gas_used=0,
    gas_limit=0,
)
NO_ADDRESS = word_of_int(0)


class Chain:
    """Answers calls from a table of target and calldata; everything else is empty."""

    def __init__(self, answers: dict[tuple[str, bytes], bytes]):
        self.answers = answers
        self.rounds = 0

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        assert block is BLOCK
        self.rounds += 1
        found = [self.answers.get((call.to, call.data), b"") for call in calls]
        return [CallResult(success=True, data=data) for data in found]


def root_answers(*, revision: int = 1) -> dict[tuple[str, bytes], bytes]:
    return {
        (PROVIDER, codec.GET_POOL): word_of_address(POOL),
        (PROVIDER, codec.GET_PRICE_ORACLE): word_of_address(ORACLE),
        (PROVIDER, codec.GET_POOL_CONFIGURATOR): word_of_address(CONFIGURATOR),
        (PROVIDER, codec.GET_PRICE_ORACLE_SENTINEL): NO_ADDRESS,
        (POOL, codec.POOL_REVISION): word_of_int(revision),
        (POOL, codec.FLASHLOAN_PREMIUM_TOTAL): word_of_int(5),
        (POOL, codec.FLASHLOAN_PREMIUM_TO_PROTOCOL): word_of_int(4),
        (POOL, codec.ADDRESSES_PROVIDER): word_of_address(PROVIDER),
        (POOL, codec.GET_RESERVES_LIST): word_of_int(32) + word_of_int(0),
    }


def root_of(answers: dict[tuple[str, bytes], bytes]):
    asking = Asking(reader=Chain(answers), block=BLOCK, deployment="aave_v3.test")
    return asyncio.run(read_root(asking, PROVIDER))


def test_a_market_is_found_from_its_provider():
    root = root_of(root_answers(revision=10))
    assert (root.pool, root.oracle, root.configurator) == (POOL, ORACLE, CONFIGURATOR)
    assert root.sentinel is None
    assert root.rules.release == "3.6"
    assert (root.flash_premium_bps, root.premium_to_protocol_bps) == (5, 4)


@pytest.mark.parametrize("revision", [0, 12, 99])
def test_an_unknown_revision_is_refused_with_what_was_found(revision):
    with pytest.raises(ConfigError) as caught:
        root_of(root_answers(revision=revision))
    expected = f"aave_v3.test: POOL_REVISION of {POOL}: expected 1 to 11, found {revision}"
    assert str(caught.value) == expected


def test_an_address_without_a_provider_is_refused_by_its_key():
    with pytest.raises(ConfigError) as caught:
        root_of({})
    assert str(caught.value).startswith("aave_v3.test: parameters.addresses_provider: expected")
    assert str(caught.value).endswith(f"at {PROVIDER}, found nothing")


def test_a_pool_of_another_provider_is_refused():
    answers = root_answers() | {(POOL, codec.ADDRESSES_PROVIDER): word_of_address(ALICE)}
    with pytest.raises(ConfigError, match=f"expected {PROVIDER}, found {ALICE}"):
        root_of(answers)


@pytest.mark.parametrize(("release", "since"), [(V3_0, 222), (V3_1, 111), (V3_7, 111)])
def test_the_sequencers_time_is_of_its_start_since_3_1(release, since):
    words = b"".join(map(word_of_int, (9, 0, 111, 222, 9)))
    assert sequencer_status(release, CallResult(success=True, data=words)) == (True, since)


def test_a_sequencer_feed_that_reverts_is_down():
    assert sequencer_status(V3_0, CallResult(success=False, data=b"")) == (False, 0)


@pytest.mark.parametrize(("revision", "asked"), [(10, True), (11, False)])
def test_the_pool_asks_no_sentinel_since_3_7(revision, asked):
    sentinel, feed = token(8, 1), token(8, 2)
    answers = root_answers() | {
        (POOL, codec.POOL_REVISION): word_of_int(revision),
        (PROVIDER, codec.GET_PRICE_ORACLE_SENTINEL): word_of_address(sentinel),
        (sentinel, codec.GET_SEQUENCER_ORACLE): word_of_address(feed),
        (sentinel, codec.GET_GRACE_PERIOD): word_of_int(3_600),
    }
    asking = Asking(reader=Chain(answers), block=BLOCK, deployment="aave_v3.test")

    async def read():
        return await read_sentinel(asking, await read_root(asking, PROVIDER))

    assert (asyncio.run(read()) is not None) is asked


def test_a_sequencer_feed_behind_a_proxy_is_followed_to_its_aggregator():
    sentinel, feed, behind = token(8, 1), token(8, 2), token(8, 3)
    status = b"".join(map(word_of_int, (1, 1, 111, 222, 1)))
    answers = root_answers() | {
        (PROVIDER, codec.GET_PRICE_ORACLE_SENTINEL): word_of_address(sentinel),
        (sentinel, codec.GET_SEQUENCER_ORACLE): word_of_address(feed),
        (sentinel, codec.GET_GRACE_PERIOD): word_of_int(3_600),
        (feed, codec.LATEST_ROUND_DATA): status,
        (feed, codec.AGGREGATOR): word_of_address(behind),
    }
    asking = Asking(reader=Chain(answers), block=BLOCK, deployment="aave_v3.test")

    async def read():
        return await read_sentinel(asking, await read_root(asking, PROVIDER))

    found = asyncio.run(read())
    assert found is not None
    assert (found.aggregator, found.grace_s, found.is_up) == (behind, 3_600, False)


def of_alice(to: str, function: bytes) -> tuple[str, bytes]:
    return to, function + word_of_address(ALICE)


def test_positions_take_two_rounds_and_read_only_what_is_flagged():
    answers = {
        of_alice(POOL, codec.GET_USER_CONFIGURATION): word_of_int(0b01_10),
        of_alice(POOL, codec.GET_USER_EMODE): word_of_int(3),
        of_alice(token(0, 1), codec.SCALED_BALANCE_OF): word_of_int(11),
        of_alice(token(1, 3), codec.SCALED_BALANCE_OF): word_of_int(22),
    }
    chain = Chain(answers)
    found = asyncio.run(read_positions(chain, BLOCK, market(), [ref()]))
    assert found == {ref(): AavePosition(collateral=((0, 11),), debt=((1, 22),), emode=3)}
    assert chain.rounds == 2


def test_an_empty_account_is_an_empty_position():
    answers = {
        of_alice(POOL, codec.GET_USER_CONFIGURATION): word_of_int(0),
        of_alice(POOL, codec.GET_USER_EMODE): word_of_int(0),
    }
    chain = Chain(answers)
    assert asyncio.run(read_positions(chain, BLOCK, market(), [ref()])) == {ref(): AavePosition()}
    assert asyncio.run(read_positions(chain, BLOCK, market(), [])) == {}


def test_stable_debt_is_read_where_there_may_be_some():
    stable = token(1, 2)
    reserves = (RESERVES[0], replace(RESERVES[1], may_have_stable_debt=True), RESERVES[2])
    answers = {
        of_alice(POOL, codec.GET_USER_CONFIGURATION): word_of_int(0b0100),
        of_alice(POOL, codec.GET_USER_EMODE): word_of_int(0),
        of_alice(token(1, 3), codec.SCALED_BALANCE_OF): word_of_int(22),
        of_alice(stable, codec.PRINCIPAL_BALANCE_OF): word_of_int(33),
        of_alice(stable, codec.GET_USER_STABLE_RATE): word_of_int(44),
        of_alice(stable, codec.GET_USER_LAST_UPDATED): word_of_int(55),
    }
    found = asyncio.run(read_positions(Chain(answers), BLOCK, market(V3_0, reserves), [ref()]))
    debt = StableDebt(reserve=1, principal=33, rate=44, updated=55)
    assert found[ref()] == AavePosition(debt=((1, 22),), stable=(debt,))


def test_an_answer_that_is_missing_never_reads_as_no_debt():
    answers = {
        of_alice(POOL, codec.GET_USER_CONFIGURATION): word_of_int(0b01),
        of_alice(POOL, codec.GET_USER_EMODE): word_of_int(0),
    }
    with pytest.raises(DriftError, match="found nothing"):
        asyncio.run(read_positions(Chain(answers), BLOCK, market(), [ref()]))
