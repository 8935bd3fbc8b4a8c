"""Our signed transactions are eth-account's, byte for byte."""

import rlp
from eth_account import Account
from eth_utils import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.chain import Fees, Transaction
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.hashing import checksum_address
from keeper.evm.transaction import LocalSigner, encode_rlp

economical = settings(max_examples=60, deadline=None)

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

keys = st.integers(1, SECP256K1_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex()))
data = st.binary(max_size=80) | st.binary(min_size=200, max_size=2_000)
trees = st.recursive(
    st.binary(max_size=70) | st.integers(0, 2**256 - 1),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=20,
)


transactions = st.builds(
    Transaction,
    sender=st.just(Address("0x" + "00" * 20)),
    to=addresses,
    data=data,
    value=st.integers(0, 2**100),
)
fee_fields = st.tuples(st.integers(0, 2**60), st.integers(0, 100)).map(
    lambda pair: Fees(max_fee=pair[0], priority_fee=pair[0] * pair[1] // 100)
)
numbers = st.integers(0, 2**40)


@economical
@given(
    key=keys,
    chain_id=st.integers(1, 2**40),
    transaction=transactions,
    nonce=numbers,
    gas_limit=numbers,
    fees=fee_fields,
)
def test_a_signed_transaction_is_eth_accounts(key, chain_id, transaction, nonce, gas_limit, fees):
    signer = LocalSigner(key, chain_id=chain_id)
    ours, our_hash = signer.sign(
        replace(transaction, sender=signer.address), nonce=nonce, gas_limit=gas_limit, fees=fees
    )
    theirs = eth_accounts(transaction, key, chain_id, nonce, gas_limit, fees)
    assert ours == bytes(theirs.raw_transaction)
    assert our_hash == "0x" + bytes(theirs.hash).hex()
    assert Account.recover_transaction(ours).lower() == signer.address


def test_so_is_one_whose_signature_has_a_number_that_begins_with_zeros():
    key, fees = b"\x01" * 32, Fees(max_fee=10**10, priority_fee=10**9)
    signer = LocalSigner(key, chain_id=1)
    transaction = Transaction(sender=signer.address, to=signer.address, data=b"\x01\x02")
    signed = {
        nonce: signer.sign(transaction, nonce=nonce, gas_limit=21_000, fees=fees)[0]
        for nonce in range(0x100, 0x400)  # each has as many bytes as the others
    }
    shorter = [one for one in signed if len(signed[one]) < max(map(len, signed.values()))]
    assert len(shorter) > 1
    for nonce in shorter:
        theirs = eth_accounts(transaction, key, 1, nonce, 21_000, fees)
        assert signed[nonce] == bytes(theirs.raw_transaction)


def eth_accounts(transaction, key, chain_id, nonce, gas_limit, fees):
    """Return what eth-account signs."""
    return Account.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "gas": gas_limit,
            "maxFeePerGas": fees.max_fee,
            "maxPriorityFeePerGas": fees.priority_fee,
            "to": checksum_address(transaction.to),
            "value": transaction.value,
            "data": transaction.data,
        },
        key,
    )


@economical
@given(trees)
def test_rlp_is_that_of_the_reference_library(tree):
    assert encode_rlp(tree) == rlp.encode(_bytes(tree))


def _bytes(tree):
    """Return the tree with integers as the reference library wants them."""
    if isinstance(tree, int):
        return tree.to_bytes((tree.bit_length() + 7) // 8, "big")
    return [_bytes(part) for part in tree] if isinstance(tree, list) else tree


@economical
@given(addresses)
def test_a_checksum_is_eth_utils(address):
    assert checksum_address(address) == to_checksum_address(address)
