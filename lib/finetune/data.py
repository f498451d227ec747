"""The training data of fine-tuning: panoramas decoded once, shifted on the tensor, then transformed as the model does."""

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

from clip360.data.images import read_ahead
from clip360.geometry.panorama import circular_shift
from clip360.geometry.views import Shift, View, perspective_view
from clip360.models.clip import Clip
from clip360.scoring.embedding import encoder

DECODE_BATCH = EMBED_BATCH = 64  # images


class Item(NamedTuple):
    """What one training example is made of.

    ``row`` numbers the panorama, ``shift`` is its circular shift Δ in pixels, ``viewpoint`` numbers the camera position
    that it was rendered from, ``perspective_view`` numbers one of its perspective views, None for none.
    """

    row: int
    shift: int
    viewpoint: int = 0
    perspective_view: int | None = None


class Pair(NamedTuple):
    """One training example: the numbers of its ``Item`` (a ``perspective_view`` of None becomes -1) and two network inputs.

    ``partner`` [3, S, S] is the perspective view or, where the item has none, the unshifted panorama; ``shifted``
    [3, S, S] is the shifted panorama. In a batch every field is a tensor with a leading dimension B.
    """

    row: int
    shift: int
    viewpoint: int
    perspective_view: int
    partner: Tensor
    shifted: Tensor


class ShiftedPanoramas(Dataset):
    """N panoramas from one or several viewpoints, indexed by ``Item``; each element is a ``Pair``.

    ``viewpoints`` gives for each viewpoint the batches uint8 [B, 3, H, W] of its ``n_images`` panoramas, in the same
    order. Decoded images lie in a temporary file mapped into memory, so resident memory does not grow with N.
    """

    def __init__(self, viewpoints: Iterable[Iterator[Tensor]], n_images: int, preprocess: Callable[[Image], Tensor]):
        self.preprocess = preprocess
        self.panoramas = [decode(batches, n_images) for batches in viewpoints]
        self.inputs = self._network_inputs(lambda panorama: panorama)
        self.perspective_views: list[Tensor] | None = None

    def __len__(self) -> int:
        return len(self.panoramas[0])

    def __getitem__(self, item: Item) -> Pair:
        shifted = circular_shift(self.panoramas[item.viewpoint][item.row], item.shift)
        alone = item.perspective_view is None
        partners = self.inputs if alone else self.perspective_views[item.perspective_view]
        numbers = (item.row, item.shift, item.viewpoint, -1 if alone else item.perspective_view)
        return Pair(*numbers, partners[item.row], self.preprocess(to_pil_image(shifted)))

    def __getitems__(self, items: list[Item]) -> list[Pair]:
        """The elements of a batch, which threads prepare side by side."""
        return list(read_ahead(self.__getitem__, items, len(items)))

    @property
    def width(self) -> int:
        """Width of a panorama in pixels."""
        return self.panoramas[0].shape[-1]

    def shifted_inputs(self, n_shifts: int, viewpoint: int = 0) -> list[Tensor]:
        """Network inputs [N, 3, S, S] of all panoramas, one tensor for each shift 0, W / n_shifts, 2 W / n_shifts, ...

        Raises ValueError where ``n_shifts`` does not divide the width.
        """
        if self.width % n_shifts:
            raise ValueError(f"n_shifts is {n_shifts}: expected a divisor of the width of {self.width} pixels")
        return [self._network_inputs(Shift(k / n_shifts), viewpoint) for k in range(n_shifts)]

    def add_perspective_views(self, n_views: int, *, fov: float) -> None:
        """Give every panorama ``n_views`` perspective views ``fov`` degrees wide, in equal steps around the horizon."""
        size = self.panoramas[0].shape[-2]
        views = [perspective_view(yaw=360 / n_views * k, pitch=0.0, fov=fov, size=size) for k in range(n_views)]
        self.perspective_views = [self._network_inputs(view) for view in views]

    def _network_inputs(self, view: View, viewpoint: int = 0) -> Tensor:
        """Network inputs [N, 3, S, S] of one view of every panorama, in a temporary file."""
        batches = self.panoramas[viewpoint].split(DECODE_BATCH)
        images = (image for batch in batches for image in view(batch))
        transformed = read_ahead(lambda image: self.preprocess(to_pil_image(image)), images, DECODE_BATCH)
        first = next(transformed)
        inputs = tensor_on_disk((len(self), *first.shape), first.dtype)
        for row, image in enumerate(chain([first], transformed)):
            inputs[row] = image
        return inputs

    def draw(
        self, shift_range: tuple[float, float], *, seed: int, epoch: int, n_shifts: int | None = None
    ) -> list[Item]:
        """The items of one epoch: every panorama once, in random order, with Δ uniform in [low · W, high · W).

        ``shift_range`` holds low and high as fractions of the width W; with ``n_shifts``, Δ is a multiple of W / n_shifts.
        Where there are several viewpoints or perspective views, one of each is drawn. The draws depend on ``seed`` and
        ``epoch`` alone, so that a continued run repeats them. Raises ValueError unless 0 <= low < high <= 1.
        """
        low, high = shift_range
        if not 0 <= low < high <= 1:
            raise ValueError(
                f"shift_range is {list(shift_range)}: expected two fractions of the width, 0 <= low < high <= 1"
            )
        generator = torch.Generator().manual_seed(epoch_seed(seed, epoch))
        step = self.width // n_shifts if n_shifts else 1

        def random_integers(start: int, end: int) -> list[int]:
            return torch.randint(start, end, (len(self),), generator=generator).tolist()

        # The order of these draws is part of every result.
        rows = torch.randperm(len(self), generator=generator).tolist()
        steps = random_integers(math.ceil(low * self.width / step), math.ceil(high * self.width / step))
        shifts = [step * k for k in steps]
        viewpoints = random_integers(0, len(self.panoramas)) if len(self.panoramas) > 1 else [0] * len(self)
        perspectives = random_integers(0, len(self.perspective_views)) if self.perspective_views else [None] * len(self)
        return [Item(*numbers) for numbers in zip(rows, shifts, viewpoints, perspectives, strict=True)]


@torch.no_grad()
def embed_inputs(clip: Clip, inputs: Tensor) -> Tensor:
    """Unit embeddings [N, D] of network inputs [N, 3, S, S] by the model's present weights, in the protocol's precision."""
    encode = encoder(clip, clip.network.encode_image)
    return torch.cat([encode(batch) for batch in inputs.split(EMBED_BATCH)]).cpu()


def decode(batches: Iterator[Tensor], n_images: int) -> Tensor:
    """``n_images`` images of one size, from batches uint8 [B, 3, H, W], as uint8 [N, 3, H, W] in a temporary file.

    Raises ValueError where images differ in size.
    """
    images: Tensor | None = None
    start = 0
    with tqdm(total=n_images, desc="decode") as progress:
        for batch in batches:
            if images is None:
                images = tensor_on_disk((n_images, *batch.shape[1:]), torch.uint8)
            if batch.shape[1:] != images.shape[1:]:
                height, width = batch.shape[2:]
                first_height, first_width = images.shape[2:]
                raise ValueError(
                    f"a panorama is {width} x {height} pixels, the first {first_width} x {first_height}: fine-tuning needs"
                    " panoramas of one size, resize them"
                )
            images[start : start + len(batch)] = batch
            start += len(batch)
            progress.update(len(batch))
    return images


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of all random draws of an epoch."""
    return seed * 100_003 + epoch


def tensor_on_disk(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor of zeros in an unnamed temporary file."""
    with tempfile.NamedTemporaryFile() as file:
        return torch.from_file(file.name, shared=True, size=math.prod(shape), dtype=dtype).view(shape)
