"""Keys: where they come from, and that nobody sees them."""

import copy
import json
import pickle
import subprocess
import sys

import pytest

from keeper.core.chain import Fees, Transaction
from keeper.core.errors import ConfigError, InvariantError
from keeper.core.units import Address
from keeper.evm.hashing import checksum_address
from keeper.evm.keys import load_signers, open_keystore, throwaway_signer, write_keystore
from keeper.evm.transaction import LocalSigner, encode_rlp
from tests.support.keystores import quick_keystore

# The first account of the well-known test mnemonic "test test ... junk".
KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ADDRESS = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
PASSWORD = "correct horse"  # noqa: S105 - of this test's own keystore
FEES = Fees(max_fee=2, priority_fee=1)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "operator.json"
    assert write_keystore(path, KEY, PASSWORD) == ADDRESS
    return path


@pytest.fixture
def quick(tmp_path):
    quick_keystore(tmp_path / "quick.json", KEY, PASSWORD)
    return tmp_path / "quick.json"


_NESTED = """
import sys
from pathlib import Path
from keeper.chain.jsonrpc import decode_reply
from keeper.core.errors import TransientError
from keeper.evm.keys import open_keystore

open_keystore(Path(sys.argv[1]), sys.argv[2])
deep = b"[" * 100_000 + b"]" * 100_000
try:
    decode_reply(b'{"id":1,"error":{"code":1,"data":' + deep + b"}}", 1, "node")
except TransientError:
    print("caught")
"""


def test_json_nested_without_end_ends_no_process_that_has_opened_a_keystore(keystore):
    """A library that keystores are opened with lets Python recurse until the stack is full."""
    command = [sys.executable, "-c", _NESTED, str(keystore), PASSWORD]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "caught\n")


def test_the_address_is_the_keys():
    assert LocalSigner(KEY, chain_id=1).address == ADDRESS


def test_no_text_of_a_signer_shows_its_key():
    signer = LocalSigner(KEY, chain_id=1)
    shown = f"{signer} {signer!r} {vars(type(signer))}"
    assert KEY.hex() not in shown
    assert str(int.from_bytes(KEY, "big")) not in shown


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_signer_is_never_serialised_or_copied(way):
    with pytest.raises(InvariantError, match="never serialised"):
        way(LocalSigner(KEY, chain_id=1))


@pytest.mark.parametrize("key", [b"", b"\x01" * 31, bytes(32), b"\xff" * 32, b"\x01" * 33])
def test_bytes_that_are_no_key_are_refused_without_showing_them(key):
    with pytest.raises(ConfigError, match="expected a secp256k1 key") as caught:
        LocalSigner(key, chain_id=1)
    assert key.hex() not in str(caught.value) or not key
    assert "32 bytes, found 32 bytes" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_another_chain_is_refused():
    signer = LocalSigner(KEY, chain_id=1)
    signer.require_chain(1)
    with pytest.raises(InvariantError, match="expected chain id 1, found 10; nothing signed"):
        signer.require_chain(10)


def test_another_senders_transaction_is_refused():
    foreign = Transaction(sender=Address("0x" + "11" * 20), to=Address(ADDRESS), data=b"")
    with pytest.raises(InvariantError, match="expected sender 0xf39f"):
        LocalSigner(KEY, chain_id=1).sign(foreign, nonce=0, gas_limit=21_000, fees=FEES)


def test_a_tip_above_the_whole_fee_is_refused():
    own = Transaction(sender=Address(ADDRESS), to=Address(ADDRESS), data=b"")
    with pytest.raises(InvariantError, match="expected priority fee <= 1, found 2"):
        LocalSigner(KEY, chain_id=1).sign(
            own, nonce=0, gas_limit=21_000, fees=Fees(max_fee=1, priority_fee=2)
        )


@pytest.mark.parametrize(
    ("item", "encoded"),
    [
        (b"dog", "83646f67"),
        ([b"cat", b"dog"], "c88363617483646f67"),
        (b"", "80"),
        ([], "c0"),
        (0, "80"),
        (15, "0f"),
        (1024, "820400"),
        ([[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"),
        (b"Lorem ipsum dolor sit amet, consectetur adipisicing elit",
         "b8384c6f72656d20697073756d20646f6c6f722073697420616d65742c20636f6e7365637465747572206164"
         "6970697369636963696e6720656c6974".replace("69636963", "6963")),
    ],
)  # fmt: skip
def test_rlp_is_that_of_the_yellow_papers_examples(item, encoded):
    assert encode_rlp(item).hex() == encoded


def test_a_negative_integer_has_no_rlp():
    with pytest.raises(OverflowError):
        encode_rlp(-1)


def test_a_checksum_is_that_of_erc_55():
    for right in (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ):
        assert checksum_address(Address(right.lower())) == right


def test_a_keystore_opens_with_its_password(keystore):
    assert open_keystore(keystore, PASSWORD) == KEY


def test_a_keystore_is_readable_by_its_owner_only(keystore):
    assert keystore.stat().st_mode & 0o777 == 0o600
    assert KEY.hex() not in keystore.read_text()


def test_a_keystore_is_never_written_over(keystore):
    before = keystore.read_text()
    with pytest.raises(ConfigError, match="expected a new file"):
        write_keystore(keystore, KEY, PASSWORD)
    assert keystore.read_text() == before


def test_a_wrong_password_is_said_to_be_one(quick):
    with pytest.raises(ConfigError, match="found a wrong password"):
        open_keystore(quick, "wrong horse")


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json", json.dumps({"version": 3})])
def test_a_file_that_is_no_keystore_is_refused(tmp_path, content):
    path = tmp_path / "keystore.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"keystore\.json: expected a keystore"):
        open_keystore(path, PASSWORD)


def test_a_missing_keystore_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.json: expected a keystore, found: No such file"):
        open_keystore(tmp_path / "none.json", PASSWORD)


def test_the_password_file_comes_before_environment_and_prompt(quick, tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    (signer,) = load_signers(
        chain_id=1,
        environment={"KEEPER_KEYSTORE_PASSWORD": "wrong"},
        keystores=[quick],
        password_file=file,
        ask=lambda question: question,
    )
    assert signer.address == ADDRESS


def test_the_prompt_is_asked_when_nothing_else_knows(quick):
    (signer,) = load_signers(
        chain_id=1, environment={}, keystores=[quick], ask=lambda _question: PASSWORD
    )
    assert signer.address == ADDRESS


def test_a_keystore_without_any_password_says_where_it_could_be(keystore):
    with pytest.raises(ConfigError, match="KEEPER_KEYSTORE_PASSWORD"):
        load_signers(chain_id=1, environment={}, keystores=[keystore])


def test_a_missing_password_file_is_named(keystore, tmp_path):
    with pytest.raises(ConfigError, match="expected a password file, found No such file"):
        load_signers(
            chain_id=1, environment={}, keystores=[keystore], password_file=tmp_path / "none"
        )


def test_the_environment_may_hold_the_key():
    (signer,) = load_signers(
        chain_id=5, environment={"KEEPER_PRIVATE_KEY": "0x" + KEY.hex()}, keystores=[]
    )
    assert (signer.address, signer.chain_id) == (ADDRESS, 5)


def test_two_keys_are_one_too_many(keystore):
    with pytest.raises(ConfigError, match="expected one key, found both"):
        load_signers(
            chain_id=1, environment={"KEEPER_PRIVATE_KEY": KEY.hex()}, keystores=[keystore]
        )


def test_several_keys_are_several_signers_in_their_order():
    other = "22" * 32
    found = load_signers(
        chain_id=1, environment={"KEEPER_PRIVATE_KEY": f"{KEY.hex()} 0x{other}"}, keystores=[]
    )
    expected = LocalSigner(bytes.fromhex(other), chain_id=1).address
    assert [one.address for one in found] == [ADDRESS, expected]


def test_one_key_twice_is_refused_by_its_address():
    with pytest.raises(ConfigError, match=f"found that of {ADDRESS} twice"):
        load_signers(
            chain_id=1, environment={"KEEPER_PRIVATE_KEY": f"{KEY.hex()} {KEY.hex()}"}, keystores=[]
        )


def test_no_key_at_all_says_where_it_could_be():
    with pytest.raises(ConfigError, match=r"operator\.keystore or KEEPER_PRIVATE_KEY"):
        load_signers(chain_id=1, environment={}, keystores=[])


@pytest.mark.parametrize("text", ["", "0x", KEY.hex()[:-1], KEY.hex() + "00", "zz" * 32])
def test_text_that_is_no_key_is_refused_without_showing_it(text):
    with pytest.raises(ConfigError, match="KEEPER_PRIVATE_KEY: expected 64 hex digits") as caught:
        load_signers(chain_id=1, environment={"KEEPER_PRIVATE_KEY": text}, keystores=[])
    assert len(text) < 8 or text not in str(caught.value)


def test_throwaway_keys_repeat_by_seed_and_differ_between_seeds():
    one, same, other = (throwaway_signer(chain_id=1, seed=s).address for s in (b"1", b"1", b"2"))
    assert one == same != other


def test_signing_does_not_import_eth_account():
    code = "import sys, keeper.evm.keys; print([m for m in sys.modules if m.startswith('eth_')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
