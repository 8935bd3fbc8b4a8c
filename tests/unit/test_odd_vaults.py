"""Vaults and aTokens that say what cannot be: they are refused, and nobody else is."""

from collections.abc import Callable
from typing import cast

import pytest

from keeper.core.ports import Reader, UnwindBook
from keeper.core.units import MAX_UINT256, RAY
from keeper.evm.words import selector, word_of_address
from keeper.venues.unwinding.atoken import ATokenBook, ATokenUnwinder
from keeper.venues.unwinding.curve import PROBE
from keeper.venues.unwinding.erc4626 import VaultBook, VaultUnwinder
from keeper.venues.unwinding.reading import UnknownBook
from tests.support.ledger_records import account, block
from tests.support.scripted_reader import ScriptedReader, words

SHARE, ASSET, HOLDER, POOL = (account(number) for number in range(1, 5))
PREVIEW = selector("previewRedeem(uint256)")
SAMPLES = (PROBE, *(many + 7_919 for many in (10**15, 10**18, 10**21, 10**24)))


async def read(
    preview: Callable[[int], int], *, decimals: int = 18, assets: int = 0, supply: int = 0
) -> UnwindBook:
    """Return the book of a vault that lets go of anything."""
    answers = {
        (SHARE, selector("asset()")): words(int(ASSET, 16)),
        (SHARE, selector("decimals()")): words(decimals),
        (ASSET, selector("decimals()")): words(18),
        (SHARE, selector("totalAssets()")): words(assets),
        (SHARE, selector("totalSupply()")): words(supply),
        (SHARE, selector("convertToAssets(uint256)") + words(PROBE)): words(preview(PROBE)),
        (SHARE, selector("maxRedeem(address)") + word_of_address(HOLDER)): words(MAX_UINT256),
        (SHARE, selector("balanceOf(address)") + word_of_address(HOLDER)): words(10**20),
        **{(SHARE, PREVIEW + words(n)): words(preview(n)) for n in SAMPLES},
    }
    reader = cast("Reader", ScriptedReader(answers=answers))
    return await VaultUnwinder(reader, share=SHARE, holders=[HOLDER], gas=1).snapshot(block(1))


async def test_one_of_which_no_million_of_shares_is_a_number_is_not_asked_for_them() -> None:
    found = await read(lambda shares: shares, decimals=77)
    assert isinstance(found, UnknownBook)
    assert "expected at most 36 decimals, found 77" in found.refusal


async def test_no_more_is_redeemed_than_there_are_shares() -> None:
    """What plans before leave of the totals is what the next one is told by."""
    assets, supply = 3 * 10**19, 2 * 10**19
    found = await read(lambda shares: shares * assets // supply, assets=assets, supply=supply)
    assert isinstance(found, VaultBook)
    assert found.curve.is_totals
    left = found.after(supply, assets)
    assert left.refusal is not None
    assert left.worth(10**18) == 15 * 10**17


async def read_reserve(index: int, updated: int) -> UnwindBook:
    """Return the book of an aToken whose pool says this of its reserve."""
    reserve = words(1 << 56, index, 0, 0, 0, 0, updated, 0, int(SHARE, 16), *[0] * 6)
    asset = word_of_address(ASSET)
    answers = {
        (SHARE, selector("POOL()")): words(int(POOL, 16)),
        (SHARE, selector("UNDERLYING_ASSET_ADDRESS()")): asset,
        (ASSET, selector("decimals()")): words(18),
        (ASSET, selector("balanceOf(address)") + word_of_address(SHARE)): words(10**20),
        (POOL, selector("POOL_REVISION()")): words(3),
        (POOL, selector("getReserveData(address)") + asset): reserve,
    }
    reader = cast("Reader", ScriptedReader(answers=answers))
    return await ATokenUnwinder(reader, share=SHARE, gas=1).snapshot(block(1))


async def test_an_atoken_that_grew_is_known_by_its_index() -> None:
    found = await read_reserve(2 * RAY, block(1).timestamp)
    assert isinstance(found, ATokenBook)
    assert found.redeem([100], timestamp=block(1).timestamp, funding=None) == 100


@pytest.mark.parametrize(
    ("index", "updated"), [(0, 0), (RAY - 1, 0), (RAY, block(1).timestamp + 1)]
)
async def test_an_atoken_of_an_index_that_cannot_be_is_refused(index: int, updated: int) -> None:
    found = await read_reserve(index, updated)
    assert isinstance(found, UnknownBook)
    assert "expected a liquidity index of one or more" in found.refusal
