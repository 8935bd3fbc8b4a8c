"""What each account of one transaction has of it, read from its logs, real or simulated alike.

Of several accounts each has what lies between its own logs: its liquidations, its flash fee and
what reached the recipient before the next one began (``planner.batch`` pays out in between). What
belongs to nobody alone is divided: gas in equal parts, the wei that are left over to the first, and
the tip to the first. So the parts add up to the whole, to the wei.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from keeper.core.accounting import Settlement
from keeper.core.chain import Log
from keeper.core.lending import AccountRef, Liquidation
from keeper.core.units import Address
from keeper.executor.settlement import is_paid_to, received, settlement


class Decoders(Struct, frozen=True, kw_only=True):
    """How to read a transaction's logs, and whose balance counts."""

    liquidations: Callable[[Sequence[Log]], tuple[Liquidation, ...]]
    flash_fee: Callable[[Sequence[Log]], tuple[Address, int] | None]
    wrapped_native: Address
    recipient: Address


def divided(
    logs: Sequence[Log], refs: Sequence[AccountRef], decoders: Decoders, *, tip: int, gas: int
) -> list[Settlement]:
    """Return what each of the accounts moved, in their order. ``tip`` and ``gas`` are wei.

    Whom else somebody liquidates within the transaction, as a token may that is moved, is nobody's.
    """
    found = decoders.liquidations(logs)
    own = [_of(ref, found) for ref in refs]
    return [
        settlement(
            liquidations,
            decoders.flash_fee(part),
            received_wei=received(part, decoders.wrapped_native, decoders.recipient),
            tip=tip if not number else 0,
            gas=share,
        )
        for number, (liquidations, part, share) in enumerate(
            zip(own, _parts(logs, own, decoders), equal_parts(gas, len(refs)), strict=True)
        )
    ]


def equal_parts(total: int, count: int) -> list[int]:
    """Divide into parts that differ by what is left over, which the first has."""
    part, left = divmod(total, count)
    return [part + left, *(count - 1) * [part]]


def _of(ref: AccountRef, found: Sequence[Liquidation]) -> tuple[Liquidation, ...]:
    return tuple(one for one in found if one.ref == ref)


def _parts(
    logs: Sequence[Log], own: Sequence[Sequence[Liquidation]], decoders: Decoders
) -> list[Sequence[Log]]:
    """Cut the logs where one account was paid out and the next one's liquidations follow.

    One that liquidated nothing has no logs: what it moved, if anything, is the one's before it.
    """
    end, parts = len(logs), list[Sequence[Log]]()
    for liquidations in reversed(own[1:]):
        start = _start(logs, liquidations[0], decoders) if liquidations else end
        parts.append(logs[start:end])
        end = start
    return [logs[:end], *reversed(parts)]


def _start(logs: Sequence[Log], first: Liquidation, decoders: Decoders) -> int:
    """Return where the logs of an account begin: behind the last pay before it is liquidated."""
    place = logs.index(first.log)
    while place and not is_paid_to(logs[place - 1], decoders.wrapped_native, decoders.recipient):
        place -= 1
    return place
