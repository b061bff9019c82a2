"""A time that a test controls."""


class Clock:
    """
    A time that passes when a test says so, and by `tick` seconds with every look.

    It is also what code under test sleeps with.
    """

    def __init__(self, now: float = 1_750_000_000.0, *, tick: float = 0) -> None:
        self.now = now
        self.slept: list[float] = []
        self._tick = tick

    def __call__(self) -> float:
        self.now += self._tick
        return self.now

    def advance(self, seconds: float) -> None:
        """Let seconds pass."""
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        """Pass the time at once, and remember how much of it."""
        self.slept.append(seconds)
        self.now += seconds
