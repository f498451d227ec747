"""The panoramas that fine-tuning sees: each decoded once, shifted on the tensor by a random Δ, by the model's transform."""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.functional import to_pil_image
from tqdm import tqdm

from clip360.geometry.panorama import circular_shift
from clip360.models.clip import Clip
from clip360.scoring.embedding import encoder
from clip360.scoring.views import Shift, View, perspective_view

DECODED = EMBEDDED = 64  # pictures at a time


class Item(NamedTuple):
    """One draw: the panorama (a row), the viewpoint it is seen from, its shift in pixels, and one of its photographs."""

    row: int
    delta: int
    viewpoint: int = 0
    photograph: int | None = None


class Pair(NamedTuple):
    """What the network reads of a draw, two pictures: the panorama ``shifted``, and ``beside`` it the photograph, or the
    panorama itself where none was drawn, whose number is then -1; and the draw's numbers. In a batch all are tensors."""

    row: int
    delta: int
    viewpoint: int
    photograph: int
    beside: Tensor
    shifted: Tensor


class ShiftedPanoramas(Dataset):
    """N panoramas, maybe from several viewpoints; an ``Item`` of them is a ``Pair`` of the model's inputs.

    The decoded pictures lie in a temporary file mapped into memory, so what is resident does not grow with their number.
    """

    def __init__(self, viewpoints: Iterable[Iterator[Tensor]], total: int, preprocess: Callable[[Image], Tensor]):
        self.preprocess = preprocess
        self.panoramas = [decode(batches, total) for batches in viewpoints]
        self.inputs = self._seen(lambda panorama: panorama)
        self.photographs: list[Tensor] | None = None

    def __len__(self) -> int:
        return len(self.panoramas[0])

    def __getitem__(self, item: Item) -> Pair:
        shifted = circular_shift(self.panoramas[item.viewpoint][item.row], item.delta)
        beside = self.inputs if item.photograph is None else self.photographs[item.photograph]
        numbers = (item.row, item.delta, item.viewpoint, -1 if item.photograph is None else item.photograph)
        return Pair(*numbers, beside[item.row], self.preprocess(to_pil_image(shifted)))

    @property
    def width(self) -> int:
        """Pixels across a panorama."""
        return self.panoramas[0].shape[-1]

    def turned(self, count: int, viewpoint: int = 0) -> list[Tensor]:
        """What the network reads, [N, 3, S, S], of all panoramas shifted by 0, W / count, 2 W / count, ..."""
        if self.width % count:
            raise ValueError(f"views is {count}: expected a number that divides the width of {self.width} pixels")
        return [self._seen(Shift(k / count), viewpoint) for k in range(count)]

    def take_photographs(self, count: int, *, fov: float) -> None:
        """Have ``count`` photographs of every panorama, in equal steps around the horizon, ``fov`` degrees wide."""
        size = self.panoramas[0].shape[-2]
        views = [perspective_view(yaw=360 / count * k, pitch=0.0, fov=fov, size=size) for k in range(count)]
        self.photographs = [self._seen(view) for view in views]

    def _seen(self, view: View, viewpoint: int = 0) -> Tensor:
        """What the network reads, [N, 3, S, S], of a view of every panorama, in a temporary file."""
        parts = self.panoramas[viewpoint].split(DECODED)
        inputs = (self.preprocess(to_pil_image(picture)) for part in parts for picture in view(part))
        first = next(inputs)
        seen = on_disk((len(self), *first.shape), first.dtype)
        for row, one in enumerate(chain([first], inputs)):
            seen[row] = one
        return seen

    def draw(self, shifts: tuple[float, float], *, seed: int, epoch: int, steps: int | None = None) -> list[Item]:
        """The items of one epoch: every panorama once, in random order, with Δ uniform in [low · W, high · W).

        ``shifts`` are low and high as shares of the width. With ``steps``, Δ is a multiple of W / steps. Of several
        viewpoints one is drawn, and of photographs, where there are any. Each epoch has its own draws, whether or not
        others ran.
        """
        low, high = shifts
        if not 0 <= low < high <= 1:
            raise ValueError(f"shifts is {list(shifts)}: expected two shares of the width, 0 <= low < high <= 1")
        generator = torch.Generator().manual_seed(epoch_seed(seed, epoch))
        unit = self.width // steps if steps else 1

        def draws(start: int, end: int) -> list[int]:
            return torch.randint(start, end, (len(self),), generator=generator).tolist()

        rows = torch.randperm(len(self), generator=generator).tolist()
        deltas = [
            unit * delta for delta in draws(math.ceil(low * self.width / unit), math.ceil(high * self.width / unit))
        ]
        points = draws(0, len(self.panoramas)) if len(self.panoramas) > 1 else [0] * len(self)
        photographs = draws(0, len(self.photographs)) if self.photographs else [None] * len(self)
        return [Item(*drawn) for drawn in zip(rows, deltas, points, photographs, strict=True)]


@torch.no_grad()
def embed_inputs(clip: Clip, inputs: Tensor) -> Tensor:
    """Unit embeddings [N, D] of what the network reads, [N, 3, S, S], as the model is now."""
    encode = encoder(clip, clip.network.encode_image)
    return torch.cat([encode(part) for part in inputs.split(EMBEDDED)])


def decode(batches: Iterator[Tensor], total: int) -> Tensor:
    """``total`` pictures of one size in batches, [N, 3, H, W] in a temporary file."""
    pictures: Tensor | None = None
    start = 0
    with tqdm(total=total, desc="decode") as progress:
        for batch in batches:
            if pictures is None:
                pictures = on_disk((total, *batch.shape[1:]), torch.uint8)
            if batch.shape[1:] != pictures.shape[1:]:
                height, width = batch.shape[2:]
                raise ValueError(f"a panorama is {width} x {height}, others are not: fine-tuning needs one size")
            pictures[start : start + len(batch)] = batch
            start += len(batch)
            progress.update(len(batch))
    return pictures


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of all draws of an epoch."""
    return seed * 100_003 + epoch


def on_disk(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor of zeros in an unnamed temporary file."""
    with tempfile.NamedTemporaryFile() as file:
        return torch.from_file(file.name, shared=True, size=math.prod(shape), dtype=dtype).view(shape)
