"""Square roots by numpy, which rounds them correctly on every processor.

torch's CPU build takes square roots of float32 and float64 from MKL, whose last digit depends on the processor, also with
MKL_CBWR. Adam takes the root of every second moment. Instructions of the processor, which numpy uses, have one result.
"""

import numpy as np
import torch
from torch import Tensor

EXACT = (torch.float32, torch.float64)


def root_into(x: Tensor, out: Tensor) -> Tensor:
    """Write the square roots of ``x`` into ``out``, which has its shape; other types of numbers as float32."""
    if x.dtype in EXACT and out.dtype == x.dtype:
        with np.errstate(invalid="ignore"):  # the root of a negative number is NaN, without a warning, as in torch
            np.sqrt(x.detach().numpy(), out=out.detach().numpy())
        return out
    return out.copy_(root(x.float()))


def root(x: Tensor) -> Tensor:
    """The square roots of ``x``."""
    return root_into(x, torch.empty_like(x, dtype=None if x.is_floating_point() else torch.get_default_dtype()))


def root_in_place(x: Tensor) -> Tensor:
    return root_into(x, x)


def root_out(x: Tensor, *, out: Tensor) -> Tensor:
    return root_into(x, out.resize_(x.shape))


KERNELS = {"sqrt": root, "sqrt_": root_in_place, "sqrt.out": root_out}
