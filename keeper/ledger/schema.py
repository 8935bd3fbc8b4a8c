"""The database's tables. Amounts are decimal text: SQLite's integers end at 64 bits.

Durability: write-ahead logging with ``synchronous=FULL``, so that a commit is on disk when it
returns, whatever happens to the process or to the power.
"""

from typing import Final

SCHEMA_VERSION: Final = 7

APPLICATION_ID: Final = 0x4B454550
"""``KEEP`` in the header of the file: tells our databases from others."""

PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
)

WATERFALL: Final = ("penalty", "protocol_fee", "swap_cost", "flash_fee", "gas", "tip", "net")
"""The columns of a penalty waterfall, in the order of its identity. Wei of the native coin."""

_WATERFALL_COLUMNS: Final = ", ".join(f"{name} TEXT NOT NULL" for name in WATERFALL)

_STANDING: Final = """CREATE TABLE standing (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        halted TEXT,
        since INTEGER NOT NULL,
        rearmed INTEGER NOT NULL
    )"""

_CARRIED_INDEX: Final = (
    "CREATE INDEX intents_by_carrier ON intents (carried_by) WHERE carried_by IS NOT NULL"
)
"""Finds those whose transactions another intent has: of a batch, all but the first."""

_TAKEN: Final = """CREATE TABLE taken (
        deployment TEXT NOT NULL,
        market TEXT NOT NULL,
        account TEXT NOT NULL,
        block INTEGER NOT NULL,
        block_hash TEXT NOT NULL,
        tx_hash TEXT NOT NULL,
        log_index INTEGER NOT NULL,
        place INTEGER NOT NULL,
        liquidator TEXT NOT NULL,
        collateral TEXT NOT NULL,
        collateral_symbol TEXT NOT NULL,
        collateral_unit TEXT NOT NULL,
        debt TEXT NOT NULL,
        debt_symbol TEXT NOT NULL,
        debt_unit TEXT NOT NULL,
        repaid TEXT NOT NULL,
        seized TEXT NOT NULL,
        penalty TEXT,
        protocol_fee TEXT,
        gas TEXT NOT NULL,
        cause TEXT NOT NULL,
        detail TEXT NOT NULL,
        forecast_net TEXT,
        seen INTEGER NOT NULL,
        PRIMARY KEY (deployment, block, log_index)
    ) WITHOUT ROWID"""
"""What others liquidated."""

TABLES: Final = (
    _STANDING,
    _TAKEN,
    """CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        chain_id INTEGER NOT NULL,
        genesis_hash TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        created INTEGER NOT NULL,
        opened INTEGER NOT NULL
    )""",
    f"""CREATE TABLE intents (
        sequence INTEGER PRIMARY KEY,
        plan_id TEXT NOT NULL UNIQUE,
        deployment TEXT NOT NULL,
        market TEXT NOT NULL,
        account TEXT NOT NULL,
        status TEXT NOT NULL,
        trigger_cause TEXT NOT NULL,
        head_block INTEGER NOT NULL,
        collateral TEXT NOT NULL,
        debt TEXT NOT NULL,
        repay TEXT NOT NULL,
        seize TEXT NOT NULL,
        {_WATERFALL_COLUMNS},
        min_profit TEXT NOT NULL,
        plan_tip TEXT NOT NULL,
        deadline INTEGER NOT NULL,
        gas_at_stake TEXT NOT NULL,
        plan TEXT NOT NULL,
        times INTEGER NOT NULL DEFAULT 1,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        forced INTEGER NOT NULL DEFAULT 0,
        carried_by TEXT REFERENCES intents (plan_id)
    )""",
    _CARRIED_INDEX,
    """CREATE UNIQUE INDEX one_open_intent_per_account ON intents (deployment, market, account)
        WHERE status IN ('intended', 'signed', 'sent')""",
    """CREATE INDEX intents_by_account ON intents (deployment, market, account, status)""",
    """CREATE TABLE submissions (
        sequence INTEGER PRIMARY KEY,
        tx_hash TEXT NOT NULL UNIQUE,
        plan_id TEXT NOT NULL REFERENCES intents (plan_id),
        sender TEXT NOT NULL,
        nonce INTEGER NOT NULL,
        raw BLOB NOT NULL,
        max_fee TEXT NOT NULL,
        priority_fee TEXT NOT NULL,
        target_block INTEGER NOT NULL,
        status TEXT NOT NULL,
        signed INTEGER NOT NULL,
        sent INTEGER,
        purpose TEXT NOT NULL DEFAULT 'liquidate',
        lane TEXT NOT NULL DEFAULT 'mempool'
    )""",
    """CREATE INDEX submissions_by_plan ON submissions (plan_id)""",
    """CREATE INDEX submissions_by_nonce ON submissions (sender, nonce)""",
    f"""CREATE TABLE outcomes (
        plan_id TEXT PRIMARY KEY REFERENCES intents (plan_id),
        status TEXT NOT NULL,
        tx_hash TEXT,
        block INTEGER,
        gas_used TEXT NOT NULL,
        {_WATERFALL_COLUMNS},
        liquidations TEXT NOT NULL,
        detail TEXT NOT NULL,
        settled INTEGER NOT NULL,
        block_hash TEXT,
        final INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE INDEX outcomes_by_time ON outcomes (settled)""",
    """CREATE TABLE rejections (
        deployment TEXT NOT NULL,
        market TEXT NOT NULL,
        account TEXT NOT NULL,
        block INTEGER NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        net TEXT,
        times INTEGER NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        PRIMARY KEY (deployment, market, account)
    ) WITHOUT ROWID""",
    """CREATE TABLE checkpoints (
        deployment TEXT PRIMARY KEY,
        block INTEGER NOT NULL,
        block_hash TEXT NOT NULL,
        saved INTEGER NOT NULL,
        since INTEGER NOT NULL DEFAULT 0,
        places TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID""",
    """CREATE TABLE accounts (
        deployment TEXT NOT NULL,
        market TEXT NOT NULL,
        account TEXT NOT NULL,
        first_block INTEGER NOT NULL,
        PRIMARY KEY (deployment, market, account)
    ) WITHOUT ROWID""",
)

MIGRATIONS: Final = {
    1: (
        _STANDING,
        "ALTER TABLE submissions ADD COLUMN purpose TEXT NOT NULL DEFAULT 'liquidate'",
        "ALTER TABLE submissions ADD COLUMN lane TEXT NOT NULL DEFAULT 'mempool'",
        "ALTER TABLE outcomes ADD COLUMN block_hash TEXT",
    ),
    2: ("ALTER TABLE intents ADD COLUMN forced INTEGER NOT NULL DEFAULT 0",),
    3: (
        "ALTER TABLE intents ADD COLUMN carried_by TEXT REFERENCES intents (plan_id)",
        _CARRIED_INDEX,
    ),
    4: (_TAKEN,),
    # What ended a day ago was final by what the version before went by.
    5: (
        "ALTER TABLE outcomes ADD COLUMN final INTEGER NOT NULL DEFAULT 0",
        """UPDATE outcomes SET final = 1
        WHERE settled < CAST(strftime('%s', 'now') AS INTEGER) - 86400""",
    ),
    # Where accounts were looked for is not known of what was kept before: nowhere.
    6: (
        "ALTER TABLE checkpoints ADD COLUMN since INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE checkpoints ADD COLUMN places TEXT NOT NULL DEFAULT ''",
    ),
}
"""What makes each older version the next one."""
