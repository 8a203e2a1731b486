"""Progress of the benchmark while it runs: one line at a time, with the time since it began."""

import sys
import time

BEGAN = time.monotonic()


def say(text: str) -> None:
    """Print a line of progress to standard error, where the result isn't."""
    minutes, seconds = divmod(int(time.monotonic() - BEGAN), 60)
    sys.stderr.write(f"{minutes:3d}:{seconds:02d}  {text}\n")
    sys.stderr.flush()
