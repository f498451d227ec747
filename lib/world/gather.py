"""Small operations on tensors [..., N] whose last dimension is the rays: the fastest layout in torch."""

from torch import Tensor


def pick(x: Tensor, index: Tensor) -> Tensor:
    """Columns of x by index: [..., N] -> [..., len(index)]. On a CPU 2 to 3 times as fast as ``x[..., index]``."""
    return x.gather(-1, index.expand(*x.shape[:-1], len(index)))


def pick_each(index: Tensor, *xs: Tensor) -> tuple[Tensor, ...]:
    """The same columns of several tensors."""
    return tuple(pick(x, index) for x in xs)


def indices(mask: Tensor) -> Tensor:
    """Indices of the true entries of a mask [N]."""
    return mask.nonzero()[:, 0]


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of vectors [3, N] and [3, N]: [N]."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def length(a: Tensor) -> Tensor:
    """Euclidean norm of vectors [3, N]: [N]."""
    return root(dot(a, a))


def root(a: Tensor) -> Tensor:
    """Square roots. In place of ``a.sqrt()``, whose last digit on a CPU depends on the processor: both steps here round as IEEE says."""
    return a.rsqrt().reciprocal_()
