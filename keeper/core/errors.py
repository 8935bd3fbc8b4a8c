"""The error tree: one class per remedy.

KeeperError
├── ConfigError      refuse to start; the message names file, key, expected and found
├── TransientError   retried, bounded, in ``keeper.chain``; then re-raised
├── StaleError       drop this block and wait for the next
├── DriftError       mirror and chain disagree: stop acting on that market
├── RefusedError     the chain, the node or the policy said no: becomes an outcome with a reason
└── InvariantError   a promise of ours is broken: the keeper stops

A "no" of the market is none of these: it is a ``Rejection`` value.
"""


class KeeperError(Exception):
    """Base of every error that Keeper raises on purpose."""


class ConfigError(KeeperError):
    """A setting, file, address or environment that Keeper cannot start with."""


class TransientError(KeeperError):
    """The answer could not be had now; the same question may succeed later."""


class StaleError(KeeperError):
    """What was read belongs to a block that is no longer the one asked about."""


class DriftError(KeeperError):
    """The mirror and the chain disagree about the same block."""


class RefusedError(KeeperError):
    """The chain, the node or the policy refused: a definite no with a reason."""


class InvariantError(KeeperError):
    """A promise of Keeper's own code is broken; going on would be a guess."""
