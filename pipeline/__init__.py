"""The commands of the pipeline. How libraries compute is set here, before they load (see one_code_path.py)."""

import os
from contextlib import suppress

from pipeline.one_code_path import environment
from pipeline.parameters import read_params
from pipeline.parent import end_with_dvc

with suppress(Exception):  # the command itself reports what is wrong with params.yaml
    compute = read_params().compute
    os.environ.update(environment(compute.threads, one_code_path=compute.one_code_path))

end_with_dvc()
