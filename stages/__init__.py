"""The commands of the pipeline. Each uses as many threads as params.yaml says (`compute.threads`), whatever the machine has:
sums of floats in another order are other floats.

Set here, before torch is loaded, and inherited by the kernels that notebooks run in.
"""

import os
from pathlib import Path

from ruamel.yaml import YAML

if Path("params.yaml").is_file():
    threads = YAML(typ="safe").load(Path("params.yaml").read_text(encoding="utf-8")).get("compute", {}).get("threads")
    if threads:
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))
