"""Run a command and print its seconds, its CPU seconds and its peak memory as JSON.

    python tools/benchmark/peak.py COMMAND ...

This is a process of its own, and it loads nothing large: the peak of a child process includes the memory of the process
that started it.
"""

import json
import resource
import subprocess
import sys
import time

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1 << 10  # the unit of ru_maxrss: bytes on macOS, KiB on Linux
MIB = 1 << 20

if __name__ == "__main__":
    start = time.perf_counter()
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * BYTES_PER_UNIT / MIB
    print(json.dumps({"seconds": seconds, "CPU seconds": cpu_seconds, "peak MiB": peak}))
    sys.exit(done.returncode)
