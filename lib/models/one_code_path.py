"""Operators that compute alike on every x86-64 processor with AVX2, in place of torch's own.

`clip360.models` imports this module. It changes nothing unless the variable below is set, as the pipeline does
(pipeline/one_code_path.py): then these operators replace torch's on a CPU, in networks and in their gradients.
"""

import os
import warnings

import torch

from clip360.models import matrix_products, square_roots

VARIABLE = "CLIP360_ONE_CODE_PATH"

if os.environ.get(VARIABLE):
    _LIBRARY = torch.library.Library("aten", "IMPL")  # the operators last as long as this object
    with warnings.catch_warnings(action="ignore"):  # that torch's own are replaced
        for name, kernel in (matrix_products.KERNELS | square_roots.KERNELS).items():
            _LIBRARY.impl(name, kernel, "CPU", allow_override=True)
    torch.backends.cuda.enable_flash_sdp(False)  # on CPUs too: attention becomes products of matrices
