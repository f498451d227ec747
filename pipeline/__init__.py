"""The commands of the pipeline. Each uses as many threads as params.yaml says (`compute.threads`), whatever the machine has:
sums of floats in another order differ in their last digits.

The number is set here, before torch loads, and the kernels that run notebooks inherit it.
"""

import os
from contextlib import suppress

from pipeline.parameters import read_params
from pipeline.parent import end_with_dvc

with suppress(Exception):  # the command itself reports what is wrong with params.yaml
    if threads := read_params().compute.threads:
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))

end_with_dvc()
