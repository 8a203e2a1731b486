"""For programs whose clock is set by libfaketime: it breaks Python's sleep, but no other wait."""

import select
import time


def sleep(seconds: float) -> None:
    """Wait by a call that doesn't name a clock."""
    select.select([], [], [], seconds)


time.sleep = sleep
