"""What data costs is read once for a block, however often it is planned."""

from typing import cast

from keeper.chain.data_fees import ARB_GAS_INFO, NewestDataFees, Rollup
from keeper.core.ports import Reader
from keeper.evm.data_fees import FREE_DATA, ArbitrumData
from keeper.evm.words import selector
from tests.support.ledger_records import block
from tests.support.scripted_reader import ScriptedReader, words

PRICES = {(ARB_GAS_INFO, selector("getPricesInWei()")): words(0, 16, 0, 0, 0, 3)}


async def test_a_block_is_read_once_and_its_cost_is_known_until_the_next() -> None:
    reader = ScriptedReader(answers=PRICES)
    fees = NewestDataFees(cast("Reader", reader), Rollup.ARBITRUM, chain_id=1)
    assert fees.known == FREE_DATA
    for number in (7, 7, 8):
        assert await fees.at(block(number)) == ArbitrumData(wei_per_byte=16, wei_per_gas=3)
    assert reader.blocks == [block(7), block(8)]
    assert fees.known == await fees.at(block(8))


async def test_on_a_chain_that_is_no_rollup_nothing_is_read() -> None:
    reader = ScriptedReader(answers={})
    fees = NewestDataFees(cast("Reader", reader), None, chain_id=1)
    assert await fees.at(block(7)) == FREE_DATA
    assert reader.blocks == []
