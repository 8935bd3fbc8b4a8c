"""Ever longer waits between tries of what fails again and again."""


class Spacing:
    """Doubles the wait after each failure, up to the longest, until a try has lasted."""

    def __init__(self, *, first_s: float, longest_s: float, steady_s: float) -> None:
        """Begin with ``first_s``; what lasted ``steady_s`` failed anew, not again."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._steady_s = steady_s
        self._next_s = first_s

    def after(self, lasted_s: float) -> float:
        """Return how long to wait after a try that failed when it had lasted so long, seconds."""
        wait_s = self._first_s if lasted_s >= self._steady_s else self._next_s
        self._next_s = min(2 * wait_s, self._longest_s)
        return wait_s
