"""The ``sending`` section of the root file: by which lane, how patient, and what stops it."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator

from keeper.config.section import Section
from keeper.config.values import Bps, Name, PathValue, Wei, Whole, parse_whole

PUBLIC_LANE: Final = "mempool"


MOST_IN_BATCH: Final = 10
"""Accounts: so many fit the executor's program and the gas of one transaction."""


def parse_batch_size(value: object) -> int:
    """Return a number of accounts that one transaction can carry."""
    try:
        number = parse_whole(value)
    except ValueError:
        number = 0
    if not 1 <= number <= MOST_IN_BATCH:
        msg = f"expected a whole number from 1 to {MOST_IN_BATCH}"
        raise ValueError(msg)
    return number


BatchSize = Annotated[int, BeforeValidator(parse_batch_size)]


class ForeignNonce(StrEnum):
    """What happens when somebody else signs with the operator's key."""

    HALT = "halt"
    """Stop sending until a person rearms."""
    RESYNC = "resync"
    """Say so, and go on with the chain's next nonce."""


class BreakerSettings(Section):
    """What stops all sending until a person rearms. 0 switches a limit off."""

    max_reverts_in_row: Whole = 3
    max_loss_per_day_wei: Wei = 10**17
    """Net of the outcomes of a day, when it is a loss."""
    max_wasted_gas_per_hour_wei: Wei = 10**17
    """Gas of transactions that reverted or cancelled."""
    max_head_gap_s: Whole = 300
    """Longest wait for a new block; longer than ``block_time_s``."""


class TipSettings(Section):
    """What the block's proposer is paid out of the proceeds, by the on-chain executor."""

    fixed_wei: Wei = 0
    share_bps: Bps = 0
    """Of the profit after gas and the fixed tip."""


class BatchSettings(Section):
    """When several accounts go in one transaction. One of them that fails reverts it whole."""

    most: BatchSize = 1
    """Accounts in one transaction; 1 sends each alone."""
    risk_bps: Bps = 100
    """How likely it is that one account reverts a batch: somebody else has it first.

    A batch is sent only if the gas that it saves is more than that share of its net, for each
    account beyond the first.
    """


class SendingSettings(Section):
    """How transactions go out."""

    lane: Name = PUBLIC_LANE
    """``mempool``, or the name of one of the chain file's ``lanes``."""
    tip: TipSettings = TipSettings()
    priority_share_bps: Bps = 0
    """Share of a plan's profit that raises its priority fee, within limits.max_gas_price_wei."""
    replace_after_blocks: Whole = 0
    """Blocks past its target after which a transaction is replaced or cancelled."""
    on_foreign_nonce: ForeignNonce = ForeignNonce.HALT
    prearm_accounts: Whole = 0
    """How many accounts, on each side of each feed's price, are signed for ahead; 0 is none.

    What is signed ahead was rehearsed at the head before the price came, with a stand-in for the
    feed: at 0 every transaction is rehearsed at the very state that it is sent on.
    """
    prearm_drill_ms: Whole = 0
    """How often to go the way of a price event without sending, so that it stays fast; 0 is never.

    It costs some 0.1 ms of the processor each time.
    """
    keep_awake: bool = False
    """Have no processor sleep while the keeper runs: a price is then answered sooner.

    It costs power, and needs Linux and leave to write to ``/dev/cpu_dma_latency``, which root has.
    """
    halt_file: PathValue | None = None
    """The kill switch: while this file is there nothing is sent. Beside the root file."""
    backrun: bool = False
    """Send right behind pending price updates, as bundles. Needs a bundle lane and the mempool."""
    batch: BatchSettings = BatchSettings()
    breaker: BreakerSettings = BreakerSettings()
