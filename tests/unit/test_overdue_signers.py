"""A signer that fails amid tending: what is signed and journaled by then goes out all the same."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.core.chain import Fees, Transaction
from keeper.core.errors import KeeperError, RefusedError, StaleError, TransientError
from keeper.core.plan import Purpose
from keeper.core.units import Address, Hash32
from keeper.executor.nonce import NonceKeeper
from keeper.executor.signing import SigningDesk
from keeper.executor.tending import NOT_REPLACED
from tests.support.signed_plans import ONE, SIGNER, TWO
from tests.support.tending_yard import Yard, yard_in


class Elsewhere:
    """A key that another process holds, which fails at some nonces."""

    is_instant = False

    def __init__(self, faults: Mapping[int, KeeperError]) -> None:
        self.faults = dict(faults)
        self.asked: list[int] = []

    @property
    def address(self) -> Address:
        return SIGNER.address

    def sign(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        raise NotImplementedError

    async def sign_soon(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        self.asked.append(nonce)
        if nonce in self.faults:
            raise self.faults[nonce]
        return SIGNER.sign(transaction, nonce=nonce, gas_limit=gas_limit, fees=fees)


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with yard_in(tmp_path) as made:
        await made.send(ONE, 5)
        await made.send(TWO, 6)
        yield made


def held_elsewhere(yard: Yard, faults: Mapping[int, KeeperError]) -> Elsewhere:
    """Have another process hold the key, and fail at these nonces."""
    signer = Elsewhere(faults)
    yard.desk = SigningDesk(
        chain_id=31337,
        signer=signer,
        wire=yard.wire,
        nonces=NonceKeeper(yard.wire, SIGNER.address, highest=9),
    )
    return signer


@pytest.mark.parametrize("kind", [RefusedError, StaleError, TransientError])
async def test_what_is_journaled_before_a_signer_fails_goes_out(
    yard: Yard, kind: type[KeeperError]
) -> None:
    held_elsewhere(yard, {5: kind("no answer")})
    yard.halt_file.touch()
    with capture_logs() as lines:
        assert [(one.nonce, one.purpose) for one in await yard.tend()] == [(6, Purpose.CANCEL)]
    assert [(one["plan"], one["why"]) for one in lines if one["event"] == NOT_REPLACED] == [
        (ONE.id, "no answer")
    ]
    assert await yard.newest() == [yard.flight.in_order()[0][0], yard.lane.sent[0]]


async def test_one_that_is_refused_keeps_no_other_from_being_cancelled(yard: Yard) -> None:
    held_elsewhere(yard, {6: RefusedError("not this one")})
    yard.halt_file.touch()
    assert [(one.nonce, one.purpose) for one in await yard.tend()] == [(5, Purpose.CANCEL)]


async def test_a_signer_that_does_not_answer_is_waited_for_once_at_a_head(yard: Yard) -> None:
    signer = held_elsewhere(yard, {5: TransientError("no"), 6: TransientError("no")})
    assert await yard.tend() == []
    assert signer.asked == [6]
