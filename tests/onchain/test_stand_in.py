"""A stand-in for a feed answers what a real one does, to the protocol that reads it."""

from keeper.chain.session import ChainOptions, open_chain
from keeper.core.chain import Transaction
from keeper.core.units import ZERO_ADDRESS
from keeper.evm.words import selector, signed_at
from keeper.oracle.stand_in import stand_in

ANSWER, ROUND, UPDATED = 123_456_789, (3 << 64) + 7, 1_700_000_000


async def asked(node, address, data, override):
    """Return what a call returns in a simulated block."""
    options = ChainOptions(chain_id=node.market.chain_id, multicall3=node.market.multicall3)
    async with open_chain(str(node.anvil.ipc_path), options) as chain:
        head = await chain.reader.head()
        (found,) = await chain.simulator.simulate(
            [Transaction(sender=ZERO_ADDRESS, to=address, data=data)],
            base=head,
            timestamp=head.timestamp + 12,
            base_fee=head.base_fee,
            overrides=override,
        )
    return found


async def test_the_market_s_own_oracle_reads_the_answer_of_a_stand_in(market_copy):
    weth = market_copy.market.asset("WETH")
    code = stand_in(answer=ANSWER, round_id=ROUND, updated_at=UPDATED, decimals=8)
    question = selector("getAssetPrice(address)") + bytes.fromhex(weth.token[2:].rjust(64, "0"))
    before = await asked(market_copy, market_copy.market.oracle, question, {})
    found = await asked(market_copy, market_copy.market.oracle, question, {weth.feed: code})
    assert signed_at(before.return_data, 0) != ANSWER
    assert found.success
    assert signed_at(found.return_data, 0) == ANSWER


async def test_a_stand_in_answers_in_the_shape_of_the_feed_it_stands_for(market_copy):
    feed = market_copy.market.asset("WETH").feed
    answer = signed_at(
        (await asked(market_copy, feed, selector("latestAnswer()"), {})).return_data, 0
    )
    whole = await asked(market_copy, feed, selector("latestRoundData()"), {})
    round_id, updated = signed_at(whole.return_data, 0), signed_at(whole.return_data, 3)
    code = stand_in(answer=answer, round_id=round_id, updated_at=updated, decimals=8)
    for function in ("latestAnswer()", "decimals()"):
        real = await asked(market_copy, feed, selector(function), {})
        ours = await asked(market_copy, feed, selector(function), {feed: code})
        assert ours.return_data == real.return_data
    ours = await asked(market_copy, feed, selector("latestRoundData()"), {feed: code})
    assert [signed_at(ours.return_data, word) for word in range(5)] == [
        round_id,
        answer,
        updated,
        updated,
        round_id,
    ]


async def test_a_stand_in_reverts_on_what_it_does_not_know(market_copy):
    feed = market_copy.market.asset("WETH").feed
    code = stand_in(answer=ANSWER, round_id=ROUND, updated_at=UPDATED, decimals=8)
    found = await asked(market_copy, feed, selector("description()"), {feed: code})
    assert not found.success
