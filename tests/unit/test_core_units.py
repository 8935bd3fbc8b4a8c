"""Addresses and words, as text and as bytes."""

import pytest

from keeper.core.units import address, address_bytes, address_of_word

MIXED = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
LOWER = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"


def test_an_address_is_lower_case():
    assert address(MIXED) == LOWER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        LOWER[2:],
        LOWER + "0",
        LOWER[:-1],
        LOWER[:-1] + "g",
        LOWER + "\n",
        "0X" + LOWER[2:],
    ],
)
def test_anything_else_is_refused_with_what_was_found(text):
    with pytest.raises(ValueError, match="expected an address of 0x and 40 hex digits, found"):
        address(text)


def test_a_word_holds_an_address_in_its_low_bytes_as_text_and_as_bytes():
    word = "0" * 24 + MIXED[2:]
    assert address_of_word("0x" + word) == LOWER
    assert address_of_word(bytes.fromhex(word)) == LOWER


@pytest.mark.parametrize("word", [b"", bytes(31), bytes(33), "0x", "0x" + "00" * 20])
def test_a_word_of_another_length_is_refused(word):
    with pytest.raises(ValueError, match="expected a word of 64 hex digits, found"):
        address_of_word(word)


def test_bytes_of_an_address_come_back_as_the_address():
    assert address_of_word(bytes(12) + address_bytes(address(MIXED))) == LOWER
