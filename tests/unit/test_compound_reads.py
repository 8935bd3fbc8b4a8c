"""What is refused of a deployment that is not one."""

import pytest

from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError
from keeper.core.units import Address, Hash32
from keeper.evm.erc20 import DECIMALS
from keeper.evm.words import ask_address
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.asking import Asking
from keeper.protocols.compound_v2.parameters import Parameters
from keeper.protocols.compound_v2.reads import read_whole
from keeper.protocols.compound_v2.state import Risk
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


# --- a plain fork ------------------------------------------------------------------------------

CTOKEN, CETHER = (Address("0x" + digits * 20) for digits in ("c0", "c1"))
DAI = Address("0x" + "da" * 20)


def of(value: Address) -> int:
    return int(value, 16)


def plain_market(token: Address, *, by_second: bool) -> dict[tuple[Address, bytes], bytes]:
    """Return what a cToken of Compound's answers, by block or by second."""
    rate, accrued_at = (
        (codec.RATE_PER_SECOND, codec.ACCRUED_AT_SECOND)
        if by_second
        else (codec.RATE_PER_BLOCK, codec.ACCRUED_AT_BLOCK)
    )
    asked = {
        codec.GET_CASH: 1_000,
        codec.TOTAL_BORROWS: 500,
        codec.TOTAL_RESERVES: 10,
        codec.BORROW_INDEX: 10**18,
        codec.TOTAL_SUPPLY: 5_000,
        codec.RESERVE_FACTOR: 10**17,
        codec.EXCHANGE_RATE_STORED: 298 * 10**15,
        rate: 7,
        accrued_at: 3,
    }
    found = {(token, function): words(value) for function, value in asked.items()}
    listed = ask_address(COMPTROLLER, codec.MARKETS, token).data
    return found | {(COMPTROLLER, listed): words(1, 75 * 10**16, 1)}


@pytest.mark.parametrize("by_second", [False, True], ids=["by block", "by second"])
async def test_a_plain_fork_is_read_without_what_venus_adds(by_second):
    answers = {
        (COMPTROLLER, codec.ORACLE): words(of(ORACLE)),
        (COMPTROLLER, codec.CLOSE_FACTOR): words(5 * 10**17),
        (COMPTROLLER, codec.INCENTIVE): words(108 * 10**16),
        (COMPTROLLER, codec.GET_ALL_MARKETS): words(32, 2, of(CTOKEN), of(CETHER)),
        **plain_market(CTOKEN, by_second=by_second),
        **plain_market(CETHER, by_second=by_second),
        (CTOKEN, codec.UNDERLYING): words(of(DAI)),
        (CTOKEN, codec.SEIZE_SHARE): words(28 * 10**15),
        (DAI, DECIMALS): words(18),
        (WETH, DECIMALS): words(18),
    }
    found = await read_whole(asking(answers), PARAMETERS)
    first, native = found.markets
    assert (found.liquidator, found.vai, dict(found.pools)) == (None, None, {})
    assert (found.redeem_fee, found.paused, found.by_second) == (0, False, by_second)
    assert (native.native, native.asset, first.native, first.asset) == (True, WETH, False, DAI)
    assert (first.seize_share, native.seize_share) == (28 * 10**15, 0)
    assert first.risks[0] == Risk(threshold=75 * 10**16, incentive=108 * 10**16)
    assert (first.rate, first.accrued_at, first.cash_is_balance) == (7, 3, True)
    assert not found.forces_accounts
    assert not native.names_borrower
