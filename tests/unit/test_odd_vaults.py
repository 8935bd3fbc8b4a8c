"""Vaults that say of themselves what no vault can be: they are refused, and nobody else is."""

from collections.abc import Callable
from typing import cast

from keeper.core.ports import Reader, UnwindBook
from keeper.core.units import MAX_UINT256
from keeper.evm.words import selector, word_of_address
from keeper.venues.unwinding.curve import PROBE
from keeper.venues.unwinding.erc4626 import VaultBook, VaultUnwinder
from keeper.venues.unwinding.reading import UnknownBook
from tests.support.ledger_records import account, block
from tests.support.scripted_reader import ScriptedReader, words

SHARE, ASSET, HOLDER = (account(number) for number in range(1, 4))
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
