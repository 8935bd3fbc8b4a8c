"""A crash in steps: feeds and exchange fall together, one block a step, always the same way."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from keeper.devnet.assets import ASSETS
from keeper.devnet.live import LiveMarket
from keeper.devnet.prices import move_market

_BPS = 10_000
_GWEI = 10**9


class Fall(Struct, frozen=True, kw_only=True):
    """One step: prices in basis points of those before the crash, and the block's base fee."""

    ether_bps: int
    bitcoin_bps: int
    staked_ether_bps: int
    base_fee_wei: int


class CrashStep(Struct, frozen=True, kw_only=True):
    """A step that has happened: its number from 1, the answers (8 decimals), and its block."""

    number: int
    count: int
    answers: Mapping[str, int]
    block: int


# Blocks are fuller in a crash, so the base fee rises. In the sixth step staked ether loses its peg
# at once, which leaves a leveraged loop in eMode with more debt than collateral.
CRASH: Sequence[Fall] = tuple(
    Fall(
        ether_bps=ether,
        bitcoin_bps=bitcoin,
        staked_ether_bps=staked,
        base_fee_wei=fee * _GWEI // 10,
    )
    for ether, bitcoin, staked, fee in (
        (9_700, 9_850, 9_700, 20),
        (9_350, 9_600, 9_350, 25),
        (9_000, 9_300, 9_000, 30),
        (8_750, 9_050, 8_750, 40),
        (8_450, 8_800, 8_450, 50),
        (8_150, 8_500, 7_335, 60),
        (7_850, 8_300, 7_065, 50),
        (7_600, 8_150, 6_840, 40),
    )
)


def crash(live: LiveMarket, path: Sequence[Fall] = CRASH) -> Iterator[CrashStep]:
    """Make the next step of the crash each time the caller asks for one."""
    for number, fall in enumerate(path, start=1):
        answers = {
            "WETH": ASSETS["WETH"].price * fall.ether_bps // _BPS,
            "WBTC": ASSETS["WBTC"].price * fall.bitcoin_bps // _BPS,
            "wstETH": ASSETS["wstETH"].price * fall.staked_ether_bps // _BPS,
        }
        live.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(fall.base_fee_wei))
        block = move_market(live, answers)
        yield CrashStep(number=number, count=len(path), answers=answers, block=block)
