"""The packed program, byte for byte."""

import pytest

from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.program import (
    Approval,
    BalanceOf,
    Call,
    Flash,
    FlashKind,
    Known,
    PairSwap,
    PayLater,
    Program,
    Swap,
    Tip,
    call_parts,
)
from keeper.evm.program_encoder import EXECUTE_SELECTOR, encode

WETH = Address("0x" + "ee" * 20)
USDC = Address("0x" + "05" * 20)
LENDER = Address("0x" + "a1" * 20)
POOL = Address("0x" + "b2" * 20)
ACCOUNT = Address("0x" + "c3" * 20)

LIQUIDATE = Call(
    target=LENDER,
    selector=bytes.fromhex("00a718a9"),
    parts=(WETH, USDC, ACCOUNT, 0x1234, 0),
    approval=Approval(token=USDC, spender=LENDER, amount=0x1234),
)
REPAY = Swap(
    pool=POOL,
    token_in=WETH,
    token_out=USDC,
    amount=Known.OWED,
    limit=BalanceOf(token=WETH),
)
PROGRAM = Program(
    deadline=0x0102030405,
    profit_token=WETH,
    min_profit=0x0A0B,
    steps=(Flash(lender=LENDER, asset=USDC, amount=0x1234, inner=(LIQUIDATE, REPAY)),),
    tip=Tip(amount=7, unwrap=WETH),
)


def table(*addresses: Address) -> str:
    return "".join(address[2:] for address in addresses)


def test_a_flash_liquidation_is_written_as_the_contract_reads_it() -> None:
    liquidate = "11 02 01 02 021234 00a718a9 05 40 41 14" + ACCOUNT[2:] + "021234 00"
    repay = "22 03 00 21 80 0000"
    inner = bytes.fromhex(liquidate + repay)
    expected = (
        EXECUTE_SELECTOR
        + bytes.fromhex("0102030405 02 04" + table(WETH, USDC, LENDER, POOL))
        + bytes.fromhex("020a0b 0107 00")
        + bytes.fromhex("03 02 01 021234")
        + len(inner).to_bytes(2)
        + inner
    )
    assert encode(PROGRAM) == expected


def test_the_profit_token_is_the_first_of_the_tokens_and_each_is_listed_once() -> None:
    written = encode(replace(PROGRAM, profit_token=USDC, sweep=(ACCOUNT, WETH)))
    assert written[9:11] == bytes((3, 5))
    assert written[11:].startswith(bytes.fromhex(table(USDC, WETH, ACCOUNT, LENDER, POOL)))


def test_a_token_that_is_only_measured_is_swept_too() -> None:
    measuring = replace(LIQUIDATE, parts=(BalanceOf(token=ACCOUNT),), approval=None)
    written = encode(replace(PROGRAM, steps=(measuring,), tip=None))
    assert written[9:11] == bytes((2, 3))
    assert written[11:].startswith(bytes.fromhex(table(WETH, ACCOUNT, LENDER)))


def test_without_a_tip_its_amount_is_zero_and_its_source_the_value() -> None:
    written = encode(replace(PROGRAM, steps=(), tip=None))
    assert written.endswith(bytes.fromhex("020a0b 00 ff"))


def test_a_tip_from_the_value_names_no_token() -> None:
    written = encode(replace(PROGRAM, steps=(), tip=Tip(amount=256, unwrap=None)))
    assert written.endswith(bytes.fromhex("020a0b 020100 ff"))


def test_the_direction_of_a_swap_follows_the_order_of_the_tokens() -> None:
    back = replace(REPAY, token_in=USDC, token_out=WETH, amount=5, limit=None)
    assert encode(replace(PROGRAM, steps=(back,), tip=None)).endswith(
        bytes.fromhex("12 02 01 0105 0000")
    )


@pytest.mark.parametrize("kind", FlashKind)
def test_a_loan_says_whose_interface_its_lender_has(kind: FlashKind) -> None:
    loan = Flash(lender=LENDER, asset=USDC, amount=5, inner=(), kind=kind)
    head = {"SIMPLE": "03", "POOL": "13", "VAULT": "23", "ERC_3156": "33"}[kind.name]
    assert encode(replace(PROGRAM, steps=(loan,), tip=None)).endswith(
        bytes.fromhex(head + "02 01 0105 0000")
    )


def test_a_swap_with_a_pair_says_its_fee() -> None:
    buy = PairSwap(
        pair=POOL, token_in=WETH, token_out=USDC, amount=Known.OWED, limit=BalanceOf(token=WETH)
    )
    assert encode(replace(PROGRAM, steps=(buy,), tip=None)).endswith(
        bytes.fromhex("25 02 00 0bb8 21 80 0000")
    )
    sell = replace(buy, token_in=USDC, token_out=WETH, amount=5, limit=None, fee=2_500)
    assert encode(replace(PROGRAM, steps=(replace(sell, inner=(buy,)),), tip=None)).endswith(
        bytes.fromhex("15 02 01 09c4 0105 0009 25 02 00 0bb8 21 80 0000")
    )


def test_a_fee_of_more_than_16_bits_is_refused() -> None:
    buy = PairSwap(pair=POOL, token_in=WETH, token_out=USDC, amount=1, fee=2**16)
    with pytest.raises(ValueError, match="expected a number from 0 to 65535, found 65536"):
        encode(replace(PROGRAM, steps=(buy,)))


def test_an_optional_call_is_flagged() -> None:
    call = replace(LIQUIDATE, parts=(), approval=None, optional=True)
    assert encode(replace(PROGRAM, steps=(call,), tip=None)).endswith(
        bytes.fromhex("41 01 00a718a9 00")
    )
    sale = PayLater(
        target=LENDER,
        token=USDC,
        limit=5,
        selector=LIQUIDATE.selector,
        parts=(),
        inner=(),
        optional=True,
    )
    assert encode(replace(PROGRAM, steps=(sale,), tip=None)).endswith(
        bytes.fromhex("44 02 01 0105 00a718a9 00 0000")
    )


def test_value_and_raw_bytes_are_written_in_place() -> None:
    call = replace(LIQUIDATE, parts=(b"\x99\x98", Known.EXECUTOR), approval=None, value=9)
    assert encode(replace(PROGRAM, steps=(call,), tip=None)).endswith(
        bytes.fromhex("21 01 0109 00a718a9 02 23 0002 9998 22")
    )


@pytest.mark.parametrize("number", [0, 1, 255, 256, 2**255, 2**256 - 1])
def test_numbers_are_written_without_leading_zeros(number: int) -> None:
    written = encode(replace(PROGRAM, steps=(), tip=None, min_profit=number))
    size = (number.bit_length() + 7) // 8
    assert written.endswith(bytes((size,)) + number.to_bytes(size) + b"\x00\xff")


@pytest.mark.parametrize("number", [-1, 2**256])
def test_a_number_that_is_no_uint256_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to 2"):
        encode(replace(PROGRAM, min_profit=number))


@pytest.mark.parametrize("deadline", [-1, 2**40])
def test_a_deadline_of_more_than_40_bits_is_refused(deadline: int) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to 1099511627775"):
        encode(replace(PROGRAM, deadline=deadline))


def test_more_tokens_than_operands_can_name_are_refused() -> None:
    many = tuple(Address(f"0x{n:040x}") for n in range(1, 65))
    with pytest.raises(ValueError, match="found 66 and 68"):
        encode(replace(PROGRAM, sweep=many))


def test_a_selector_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a selector of 4 bytes, found 3"):
        encode(replace(PROGRAM, steps=(replace(LIQUIDATE, selector=b"abc"),)))


def test_a_swap_of_a_token_for_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a swap between two tokens"):
        encode(replace(PROGRAM, steps=(replace(REPAY, token_in=USDC),)))


def test_calldata_of_whole_words_is_split_into_numbers() -> None:
    data = bytes.fromhex("00a718a9") + (5).to_bytes(32) + (6).to_bytes(32)
    assert call_parts(data) == (bytes.fromhex("00a718a9"), (5, 6))


@pytest.mark.parametrize("size", [1, 31, 33, 32 * 256])
def test_other_calldata_is_kept_as_it_is(size: int) -> None:
    assert call_parts(bytes(4) + b"\x01" * size) == (bytes(4), (b"\x01" * size,))


def test_a_bare_selector_has_no_parts() -> None:
    assert call_parts(b"\x01\x02\x03\x04") == (b"\x01\x02\x03\x04", ())


def test_calldata_shorter_than_a_selector_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 bytes, found 3"):
        call_parts(b"\x01\x02\x03")
