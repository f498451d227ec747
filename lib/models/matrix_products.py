"""Matrix products by oneDNN, which computes them alike on every x86-64 processor with AVX2.

torch's CPU build multiplies matrices by MKL, whose code depends on the processor: on AVX2 it rounds in another order on Intel
than on AMD. Its one code that is the same everywhere (MKL_CBWR=COMPATIBLE) takes about three times as long. oneDNN, which
torch uses for convolutions, is as fast as MKL. With AVX2 at most (ONEDNN_MAX_CPU_ISA) and one thread, it adds the terms of
each element of a product in one order, whatever the processor and its caches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

HALVES = (torch.bfloat16, torch.float16)  # whose kernels depend on the processor too
SMALL = 2**20  # multiplications; below, MKL is faster, because oneDNN first copies the matrices into its own layout


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """The product [M, N] of matrices [M, K] and [K, N]: by oneDNN where it is large and float32, else as torch does it."""
    if a.dtype != torch.float32 or a.numel() * b.shape[1] < SMALL:
        return torch.mm(a, b, out=a.new_empty(len(a), b.shape[1]))  # with `out`, it is torch's own kernel
    return F.linear(a.to_mkldnn(), b.t().to_mkldnn()).to_dense()


def in_float32(a: Tensor, b: Tensor) -> Tensor:
    """As ``multiply``, with bfloat16 and float16 computed in float32 and rounded once."""
    return multiply(a.float(), b.float()).to(a.dtype) if a.dtype in HALVES else multiply(a, b)


def add_product(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · bias + alpha · a b."""
    product = in_float32(a, b)
    return product.mul_(alpha).add_(bias, alpha=beta)


def multiply_batches(a: Tensor, b: Tensor) -> Tensor:
    """Products [B, M, N] of [B, M, K] and [B, K, N] by torch, bfloat16 and float16 computed in float32 and rounded once."""
    out = torch.empty(len(a), a.shape[1], b.shape[2], dtype=torch.float32 if a.dtype in HALVES else a.dtype)
    return torch.bmm(a.to(out.dtype), b.to(out.dtype), out=out).to(a.dtype)


KERNELS = {"mm": in_float32, "addmm": add_product, "bmm": multiply_batches}
