"""A key at a web3signer: its signatures are checked here, byte for byte, before they are used."""

import aiohttp
import pytest

from keeper.chain.endpoint import parse_endpoint
from keeper.chain.web3signer import SignerDesk
from keeper.core.chain import Fees, Transaction
from keeper.core.errors import ConfigError, InvariantError, RefusedError, TransientError
from keeper.core.units import Address
from keeper.evm.signed_transaction import decode_signed
from keeper.evm.transaction import LocalSigner
from tests.support.web3signer_server import fake_web3signer, high_s

KEY, OTHER = b"\x11" * 32, b"\x22" * 32
LOCAL = LocalSigner(KEY, chain_id=31337)
STRANGER = Address("0x" + "99" * 20)
FEES = Fees(max_fee=30 * 10**9, priority_fee=10**9)
CALL = Transaction(
    sender=LOCAL.address, to=Address("0x" + "0e" * 20), data=bytes(range(200)), value=7
)


@pytest.fixture
def server():
    with fake_web3signer(KEY, OTHER) as made:
        yield made


@pytest.fixture
async def desk(server):
    async with aiohttp.ClientSession() as session:
        yield SignerDesk(parse_endpoint(server.url), session, timeout_s=30.0)


@pytest.fixture
async def signer(desk):
    (made,) = await desk.signers([LOCAL.address], chain_id=31337, key="k")
    return made


async def signed(signer, transaction=CALL):
    return await signer.sign_soon(transaction, nonce=5, gas_limit=900_000, fees=FEES)


async def test_what_it_signs_is_byte_for_byte_what_the_key_at_hand_signs(signer, server):
    assert await signed(signer) == LOCAL.sign(CALL, nonce=5, gas_limit=900_000, fees=FEES)
    raw, _ = await signed(signer)
    read = decode_signed(raw, sender=LOCAL.address)
    assert (read.chain_id, read.nonce, read.gas_limit) == (31337, 5, 900_000)
    assert (read.fees, read.transaction) == (FEES, CALL)
    assert server.asked[0][:1] == b"\x02"


SPOILT = {
    "of other bytes": {"alter": lambda data: data[:-1] + b"\xc1"},
    "of another chain": {"alter": lambda data: data.replace(b"\x82\x7a\x69", b"\x82\x7a\x6a")},
    "of a high s": {"spoil": high_s},
    "of another v": {"spoil": lambda text: text[:-2] + ("1b" if text[-2:] == "1c" else "1c")},
    "of a v that is none": {"spoil": lambda text: text[:-2] + "25"},
    "cut": {"spoil": lambda text: text[:-2]},
    "no hex": {"spoil": lambda _: "<html>canary</html>"},
    "zero": {"spoil": lambda _: "0x" + "00" * 65},
    "refused": {"status": 400},
    "redirected": {"status": 302},
}


@pytest.mark.parametrize("how", SPOILT)
async def test_a_signature_is_not_used_when_it_is(signer, server, how):
    for name, value in SPOILT[how].items():
        setattr(server, name, value)
    with pytest.raises(RefusedError) as found:
        await signed(signer)
    assert "canary" not in str(found.value)


async def test_a_signature_of_another_key_is_not_used(signer, server):
    mine, other = server.keys
    server.keys[mine] = server.keys[other]
    with pytest.raises(RefusedError, match="expected a signature of 0x"):
        await signed(signer)


async def test_a_key_that_is_gone_is_refused(signer, server):
    server.keys.clear()
    with pytest.raises(RefusedError, match="expected it to have the operator's key"):
        await signed(signer)


async def test_silence_and_trouble_are_not_known_rather_than_refused(desk, signer, server):
    server.status = 503
    with pytest.raises(TransientError, match="found 503"):
        await signed(signer)
    server.status = 200
    server.gate.clear()
    desk._timeout_s = 0.05
    with pytest.raises(TransientError, match=r"in 0\.05 s, found none") as found:
        await signed(signer)
    assert "canary" not in str(found.value)


async def test_a_server_that_is_gone_is_named_without_its_secret(desk, server):
    server.port += 1
    desk._endpoint = parse_endpoint("http://127.0.0.1:1/canary")
    with pytest.raises(ConfigError) as found:
        await desk.signers([LOCAL.address], chain_id=31337, key="keeper.yaml: operator.web3signer")
    assert str(found.value) == (
        "keeper.yaml: operator.web3signer: expected a list of keys from web3signer "
        "http://127.0.0.1:1, found: web3signer http://127.0.0.1:1: expected to connect, "
        "found Connection refused"
    )
    assert "canary" not in str(found.value)


async def test_an_address_that_it_has_no_key_of_is_refused_with_those_that_it_has(desk):
    with pytest.raises(ConfigError, match=f"key of {STRANGER}, found 0x"):
        await desk.signers([STRANGER], chain_id=31337, key="k")


async def test_it_signs_for_its_own_sender_alone_and_never_at_once(signer):
    foreign = Transaction(sender=STRANGER, to=STRANGER, data=b"")
    with pytest.raises(InvariantError, match="expected sender"):
        await signed(signer, foreign)
    with pytest.raises(InvariantError, match="asked at once"):
        signer.sign(CALL, nonce=5, gas_limit=1, fees=FEES)


async def test_several_keys_of_one_server_are_several_signers(desk):
    other = LocalSigner(OTHER, chain_id=31337).address
    found = await desk.signers([other, LOCAL.address], chain_id=31337, key="k")
    assert [one.address for one in found] == [other, LOCAL.address]
