"""How a process handles memory: it keeps what it frees, and collects garbage less often. Neither changes a number.

By default, glibc returns each large block to the system when a tensor is freed, and the next tensor begins with pages that the system
must clear first: a sixth of the time in which two processes evaluate a small network each. Python collects garbage after every 700 new
objects, and an import of torch and open_clip makes hundreds of thousands: a fifth of the time of that import.
"""

import ctypes
import gc
from contextlib import suppress

# Parameters of glibc's mallopt (malloc.h), and their values.
ONE_ARENA = (-8, 1)  # M_ARENA_MAX: threads share one pool of freed memory
NOTHING_MAPPED = (-3, 2**30)  # M_MMAP_THRESHOLD, bytes: smaller blocks come from the pool
NOTHING_RETURNED = (-1, 2**31 - 1)  # M_TRIM_THRESHOLD, bytes: the pool returns no less than this to the system

OBJECTS = 50_000  # made before Python collects garbage among them


def keep_memory() -> None:
    """Keep freed memory for the process, where its C library is glibc, and collect garbage after ``OBJECTS`` new objects."""
    gc.set_threshold(OBJECTS)
    with suppress(OSError, AttributeError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for setting in (ONE_ARENA, NOTHING_MAPPED, NOTHING_RETURNED):
            mallopt(*setting)
