"""What a node's answers become: subclasses that keep what the remedy needs."""

from keeper.core.errors import RefusedError, TransientError


class RateLimitedError(TransientError):
    """The node asked for fewer requests; ``retry_after_s`` is its own wish, when it named one."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SlowError(TransientError):
    """No answer came in the time that one is waited for."""


class OversizedError(TransientError):
    """A reply is longer than is read of any: too much was asked for at once, or it has no end."""


class GasCappedError(RefusedError):
    """The next block costs more per gas than the operator allows."""


class NodeRefusedError(RefusedError):
    """The node answered with a JSON-RPC error."""

    def __init__(self, message: str, *, code: int, reason: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        """The node's own message, without our context."""
        self.data = data
