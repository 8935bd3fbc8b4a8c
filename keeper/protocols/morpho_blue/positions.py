"""Read accounts: shares and collateral, and for pre-liquidation the borrower's authorisation."""

from collections.abc import Iterator, Sequence

from keeper.core.chain import BlockRef, Call
from keeper.core.errors import DriftError
from keeper.core.lending import AccountRef
from keeper.core.ports import Reader
from keeper.evm.words import WORD, int_at
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition

_POSITION_WORDS = 3


async def read_positions(
    reader: Reader, block: BlockRef, market: MorphoMarket, refs: Sequence[AccountRef]
) -> dict[AccountRef, MorphoPosition]:
    """Read positions at ``block``, empty ones included.

    An account that a pre-liquidation contract may not act for has an empty position there. Raises
    DriftError when the chain does not answer as Morpho would.
    """
    calls = [call for ref in refs for call in _calls(market, ref)]
    answers = iter(await _answers(reader, block, calls))
    return {ref: _position(market, ref, answers) for ref in refs}


def _calls(market: MorphoMarket, ref: AccountRef) -> Iterator[Call]:
    isolated = market.market_of(ref.market)
    if isolated is None:
        return
    yield codec.ask_position(market.morpho, isolated.id, ref.account)
    early = market.pre_liquidations.get(ref.market)
    if early is not None:
        yield codec.ask_authorized(market.morpho, ref.account, early.address)


def _position(market: MorphoMarket, ref: AccountRef, answers: Iterator[bytes]) -> MorphoPosition:
    """Take the answers to ``_calls`` in their order."""
    if market.market_of(ref.market) is None:
        return MorphoPosition(market=ref.market, shares=0, collateral=0)
    data = next(answers)
    allowed = True
    if ref.market in market.pre_liquidations:
        allowed = int_at(next(answers), 0) == 1
    return MorphoPosition(
        market=ref.market,
        shares=int_at(data, 1) if allowed else 0,
        collateral=int_at(data, 2) if allowed else 0,
    )


async def _answers(reader: Reader, block: BlockRef, calls: Sequence[Call]) -> list[bytes]:
    if not calls:
        return []
    answers = []
    for call, result in zip(calls, await reader.call_many(calls, block), strict=True):
        words = _POSITION_WORDS if call.data.startswith(codec.POSITION) else 1
        if not result.success or len(result.data) < words * WORD:
            found = result.data.hex() or "nothing"
            msg = f"expected an answer to 0x{call.data.hex()} at {call.to}, found {found}"
            raise DriftError(msg)
        answers.append(result.data)
    return answers
