"""Waiting for a condition with a deadline. No test sleeps for a fixed time and hopes."""

import os
import time

# Sanitizer builds and busy machines: every deadline of the suite is multiplied by this.
SCALE = float(os.environ.get("SLUICE_TEST_SCALE", "1"))
# A sanitizer's memory is not the daemon's, so what that may be is not looked at.
SANITIZED = bool(os.environ.get("SLUICE_TEST_SANITIZED"))


def seconds(count: float) -> float:
    """As long as that, where the suite is given more time."""
    return count * SCALE


def deadline(seconds: float) -> float:
    """The point in time, on the monotonic clock, that lies `seconds` ahead."""
    return time.monotonic() + seconds * SCALE


def until(condition, seconds: float = 5.0, what: str = ""):
    """Calls `condition` until its result is true, and returns that; fails after `seconds`."""
    end = deadline(seconds)
    pause = 0.001
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def stands_still(count, seconds: float = 10.0):
    """Waits until `count()`, no longer 0, has been the same for twenty looks: every buffer on the way is full."""
    looks: list = []

    def full():
        looks.append(count())
        return len(looks) > 20 and looks[-1] > 0 and len(set(looks[-20:])) == 1
    until(full, seconds, "the buffers are full")
