"""Square roots, as every processor rounds them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import clip360.models  # noqa: F401  replaces torch's square roots


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_square_roots_are_correctly_rounded(dtype):
    x = 50 * torch.rand(10_001, generator=torch.Generator().manual_seed(0), dtype=dtype)
    expected = torch.from_numpy(np.sqrt(x.numpy()))
    assert torch.equal(x.sqrt(), expected) and torch.equal(x.clone().sqrt_(), expected)
    assert torch.equal(x.view(73, 137).T.sqrt(), expected.view(73, 137).T)
    assert torch.tensor(-1.0, dtype=dtype).sqrt().isnan() and torch.tensor(4).sqrt() == 2
    leaf = torch.tensor(4.0, dtype=dtype, requires_grad=True)
    leaf.sqrt().backward()
    assert leaf.grad == 0.25


def test_no_code_calls_functions_that_round_differently_on_other_processors():
    """torch takes them from MKL, whose last digit depends on the processor (docs/same_bytes.md)."""
    calls = re.compile(r"torch\.(?:asin|acos|atan|arcsin|arccos|arctan|tan)\(|\.(?:asin|acos|atan|tan)_?\(\)")
    found = [
        f"{path}: {call}"
        for path in Path("lib").rglob("*.py")
        for call in calls.findall(path.read_text(encoding="utf-8"))
    ]
    assert not found
