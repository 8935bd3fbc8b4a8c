"""Which feeds stand in each other's place, by what they say of themselves."""

import pytest

from keeper.app.mixed_up import Named, mixed_up

SOUND = {
    "weth": Named("WETH", "ETH / USD"),
    "wbtc": Named("WBTC", "BTC / USD"),
    "usdc": Named("USDC", "USDC / USD"),
    "usdbc": Named("USDbC", "USDC / USD"),
    "usdt": Named("USD₮0", "USDT / USD"),
    "pol": Named("WPOL", "MATIC / USD"),
    "mute": Named("DAI", ""),
}


def swapped(one: str, other: str) -> dict[str, Named]:
    """Return the feeds with two of them in each other's place."""
    first, second = SOUND[one], SOUND[other]
    return SOUND | {
        one: first._replace(description=second.description),
        other: second._replace(description=first.description),
    }


@pytest.mark.parametrize("key", SOUND)
def test_a_feed_of_its_own_or_of_what_a_token_stands_for_is_in_its_place(key: str) -> None:
    assert mixed_up(key, SOUND) is None


@pytest.mark.parametrize(("one", "other"), [("weth", "wbtc"), ("usdc", "usdt"), ("weth", "usdc")])
def test_two_in_each_others_place_are_found(one: str, other: str) -> None:
    feeds = swapped(one, other)
    whose = {key: said for key in feeds if (said := mixed_up(key, feeds))}
    assert whose.pop("usdbc", None) in (None, "USDC"), "which goes by the feed of USDC"
    assert whose == {one: SOUND[other].symbol, other: SOUND[one].symbol}


def test_of_one_that_says_nothing_nothing_is_said() -> None:
    assert mixed_up("mute", swapped("mute", "weth")) is None
