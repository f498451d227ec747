"""The commands of the pipeline. How libraries compute (one_code_path.py) and use memory is set here, before they load."""

import os
from contextlib import suppress

from clip360.memory import keep_memory
from pipeline.one_code_path import environment
from pipeline.parameters import read_params
from pipeline.parent import end_with_dvc

with suppress(Exception):  # the command itself reports what is wrong with params.yaml
    compute = read_params().compute
    os.environ.update(environment(compute.threads, one_code_path=compute.one_code_path))

keep_memory()
end_with_dvc()
