"""Read what a transaction moved from its logs, real or simulated alike."""

from collections.abc import Iterable, Sequence

from keeper.core.accounting import Settlement
from keeper.core.chain import Log
from keeper.core.lending import Liquidation
from keeper.core.units import Address, Hash32, address_of_word

TRANSFER = Hash32("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""topic0 of ERC-20 ``Transfer(address indexed from,address indexed to,uint256 value)``."""

_TOPICS = 3


def received(logs: Iterable[Log], token: Address, recipient: Address) -> int:
    """Return by how much the logs raise the recipient's balance of ``token``, raw units."""
    total = 0
    for log in logs:
        if log.address != token or len(log.topics) != _TOPICS or log.topics[0] != TRANSFER:
            continue
        value = int.from_bytes(log.data, "big")
        if address_of_word(log.topics[2]) == recipient:
            total += value
        if address_of_word(log.topics[1]) == recipient:
            total -= value
    return total


def is_paid_to(log: Log, token: Address, recipient: Address) -> bool:
    """Return whether the log tells that the recipient was sent ``token``, be it nothing."""
    is_transfer = len(log.topics) == _TOPICS and log.topics[0] == TRANSFER
    return log.address == token and is_transfer and address_of_word(log.topics[2]) == recipient


def settlement(
    liquidations: Sequence[Liquidation],
    flash_fee: tuple[Address, int] | None,
    *,
    received_wei: int,
    tip: int,
    gas: int,
) -> Settlement:
    """Return what one transaction moved. ``tip`` and ``gas`` are wei."""
    asset, fee = flash_fee if flash_fee is not None else (None, 0)
    return Settlement(
        liquidations=tuple(liquidations),
        flash_fee_asset=asset,
        flash_fee=fee,
        received=received_wei,
        tip=tip,
        gas=gas,
    )
