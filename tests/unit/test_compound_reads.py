"""What is refused of a deployment that is not one."""

import pytest

from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError
from keeper.core.units import Address, Hash32
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.asking import Asking
from keeper.protocols.compound_v2.parameters import Parameters
from keeper.protocols.compound_v2.reads import read_whole
from tests.support.compound_market import COMPTROLLER, ORACLE, WETH
from tests.support.scripted_reader import ScriptedReader, words

HASH = Hash32("0x" + "11" * 32)
BLOCK = BlockRef(
    number=5, hash=HASH, parent_hash=HASH, timestamp=60, base_fee=0, gas_used=0, gas_limit=1
)
PARAMETERS = Parameters(comptroller=COMPTROLLER, wrapped_native=WETH)


def asking(answers: dict[tuple[Address, bytes], bytes]) -> Asking:
    reader = ScriptedReader(answers=answers)
    return Asking(reader=reader, block=BLOCK, deployment="venus.bnb")  # type: ignore[arg-type]  # calls alone


async def test_an_address_that_is_no_comptroller_names_the_parameter():
    with pytest.raises(ConfigError, match=r"venus\.bnb: parameters\.comptroller"):
        await read_whole(asking({}), PARAMETERS)


async def test_a_comptroller_without_markets_is_refused():
    answers = {
        (COMPTROLLER, codec.ORACLE): words(int(ORACLE, 16)),
        (COMPTROLLER, codec.CLOSE_FACTOR): words(5 * 10**17),
        (COMPTROLLER, codec.GET_ALL_MARKETS): words(32, 0),
    }
    with pytest.raises(ConfigError, match="expected markets, found none"):
        await read_whole(asking(answers), PARAMETERS)


async def test_a_market_that_does_not_answer_is_refused_not_read_as_zero():
    market = Address("0x" + "c0" * 20)
    answers = {
        (COMPTROLLER, codec.ORACLE): words(int(ORACLE, 16)),
        (COMPTROLLER, codec.CLOSE_FACTOR): words(5 * 10**17),
        (COMPTROLLER, codec.GET_ALL_MARKETS): words(32, 1, int(market, 16)),
    }
    with pytest.raises(ConfigError, match=r"venus\.bnb: .*found none"):
        await read_whole(asking(answers), PARAMETERS)
