"""Requests to relays are signed over their exact bytes, as eth-account would sign the same text."""

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from keeper.core.errors import RefusedError
from keeper.evm.hashing import keccak256
from keeper.evm.relay_signature import RelayIdentity, signer_of

KEY = bytes(range(1, 33))


@given(st.binary(max_size=300))
def test_the_header_is_what_eth_account_makes_of_the_text_of_the_bodys_hash(body):
    account = Account.from_key(KEY)
    text = "0x" + keccak256(body).hex()
    signature = account.sign_message(encode_defunct(text=text)).signature.hex()
    expected = f"{account.address}:0x{signature.removeprefix('0x')}"
    assert RelayIdentity(KEY).header(body) == expected


@given(st.binary(min_size=1, max_size=300), st.integers(min_value=0))
def test_a_signature_holds_for_no_other_bytes(body, at):
    identity = RelayIdentity(KEY)
    header = identity.header(body)
    assert signer_of(body, header) == identity.address
    place = at % len(body)
    changed = body[:place] + bytes((body[place] ^ 1,)) + body[place + 1 :]
    with pytest.raises(RefusedError, match="expected the body signed by"):
        signer_of(changed, header)


def test_an_identity_does_not_show_its_key():
    assert KEY.hex() not in repr(RelayIdentity(KEY))
