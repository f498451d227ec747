"""Run a command and print as JSON the seconds it took, those of all cores together, and the most memory it had.

    python bench/peak.py COMMAND ...

A process of its own, that loads nothing: the peak of a child begins with the memory of the process that started it.
"""

import json
import resource
import subprocess
import sys
import time

UNIT = 1 << 20 if sys.platform == "darwin" else 1 << 10  # of ru_maxrss: bytes or KiB

if __name__ == "__main__":
    start = time.perf_counter()
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cores, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * UNIT / (1 << 20)
    print(json.dumps({"seconds": seconds, "core seconds": cores, "peak MiB": peak}))
    sys.exit(done.returncode)
