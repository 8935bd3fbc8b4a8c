"""A contract made to answer some calls as we say answers all others as it did."""

import pytest

from keeper.chain.session import ChainOptions, open_chain
from keeper.core.chain import StateOverride, Transaction
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.evm.words import ask, ask_address, int_at, selector
from keeper.oracle.answering import answering

PRICE = 123_456_789
GET_PRICE = selector("getAssetPrice(address)")


async def simulated(node, calls, overrides):
    options = ChainOptions(chain_id=node.market.chain_id, multicall3=node.market.multicall3)
    async with open_chain(str(node.anvil.ipc_path), options) as chain:
        head = await chain.reader.head()
        return await chain.simulator.simulate(
            [Transaction(sender=ZERO_ADDRESS, to=one.to, data=one.data) for one in calls],
            base=head,
            timestamp=head.timestamp + 12,
            base_fee=head.base_fee,
            overrides=overrides,
        )


def made_to_answer(node, contract, *calls) -> dict[Address, StateOverride]:
    code = bytes.fromhex(node.live.rpc.call("eth_getCode", contract, "latest")[2:])
    return answering(contract, code, {one.data: PRICE + n for n, one in enumerate(calls)})


def prices(node):
    oracle = node.market.oracle
    return [ask_address(oracle, GET_PRICE, one.token) for one in node.market.assets]


async def test_the_prices_that_were_told_are_answered_and_no_others(local_market):
    node, asked = local_market, prices(local_market)
    before = await simulated(node, asked, {})
    pretended = made_to_answer(node, node.market.oracle, asked[0], asked[2])
    after = await simulated(node, asked, pretended)
    assert [int_at(after[n].return_data, 0) for n in (0, 2)] == [PRICE, PRICE + 1]
    others = [n for n in range(len(asked)) if n not in {0, 2}]
    assert others
    assert [after[n].return_data for n in others] == [before[n].return_data for n in others]


async def test_what_stood_there_keeps_its_storage_and_its_refusals(local_market):
    node = local_market
    oracle = node.market.oracle
    calls = [
        ask(oracle, selector("BASE_CURRENCY_UNIT()")),
        ask_address(oracle, selector("getSourceOfAsset(address)"), node.market.assets[0].token),
        ask(oracle, selector("noSuchThing()")),
        ask_address(oracle, GET_PRICE, oracle),
    ]
    before = await simulated(node, calls, {})
    after = await simulated(node, calls, made_to_answer(node, oracle, prices(node)[0]))
    assert [one.success for one in before] == [True, True, False, False]
    assert [one.success for one in after] == [True, True, False, False]
    assert [one.return_data for one in after] == [one.return_data for one in before]


@pytest.mark.parametrize("count", [0, 5])
async def test_any_number_of_answers_is_told(local_market, count):
    node, asked = local_market, prices(local_market)
    told = asked[:count]
    after = await simulated(node, asked, made_to_answer(node, node.market.oracle, *told))
    found = [int_at(one.return_data, 0) for one in after[:count]]
    assert found == [PRICE + n for n in range(count)]
    assert all(one.success for one in after)
