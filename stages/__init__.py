"""The commands of the pipeline. Each uses as many threads as params.yaml says (`compute.threads`), whatever the machine has:
sums of floats in another order are other floats.

Set here, before torch is loaded, and inherited by the kernels that notebooks run in.
"""

import os

from stages.parameters import PARAMS, read_params

if PARAMS.is_file() and (threads := read_params().get("compute", {}).get("threads")):
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))
