"""The commands of the pipeline. Each uses as many threads as params.yaml says (`compute.threads`), whatever the machine has:
sums of floats in another order are other floats.

Set here, before torch is loaded, and inherited by the kernels that notebooks run in.
"""

import os
from contextlib import suppress

from pipeline.parameters import read_params

with suppress(Exception):  # what is wrong with params.yaml is told by the command, once it is loaded
    if threads := read_params()["compute"]["threads"]:
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(int(threads))))
