"""The panoramas that fine-tuning sees: each decoded once, shifted on the tensor by a random Δ, by the model's transform."""

import math
import tempfile
from collections.abc import Callable, Iterable

import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.functional import to_pil_image
from tqdm import tqdm

from lib.panorama import circular_shift


class ShiftedPanoramas(Dataset):
    """N panoramas; an item (k, Δ) is the row k, the model's input for the panorama, and that for its shift by Δ pixels.

    The decoded pictures lie in a temporary file mapped into memory, so what is resident does not grow with their number.
    """

    def __init__(self, batches: Iterable[Tensor], total: int, preprocess: Callable[[Image], Tensor]):
        self.preprocess, start = preprocess, 0
        with tqdm(total=total, desc="decode") as progress:
            for pictures in batches:
                inputs = torch.stack([preprocess(to_pil_image(picture)) for picture in pictures])
                if start == 0:
                    self.panoramas = on_disk((total, *pictures.shape[1:]), torch.uint8)
                    self.inputs = on_disk((total, *inputs.shape[1:]), inputs.dtype)
                self.panoramas[start : start + len(pictures)] = pictures
                self.inputs[start : start + len(pictures)] = inputs
                start += len(pictures)
                progress.update(len(pictures))

    def __len__(self) -> int:
        return len(self.panoramas)

    def __getitem__(self, item: tuple[int, int]) -> tuple[int, Tensor, Tensor]:
        row, delta = item
        shifted = circular_shift(self.panoramas[row], delta)
        return row, self.inputs[row], self.preprocess(to_pil_image(shifted))

    def draw(self, shifts: tuple[float, float], *, seed: int, epoch: int) -> list[tuple[int, int]]:
        """The items of one epoch: every panorama once, in random order, with Δ uniform in [low · W, high · W).

        ``shifts`` are low and high as shares of the width. Each epoch has its own draws, whether or not others ran.
        """
        low, high = shifts
        if not 0 <= low < high <= 1:
            raise ValueError(f"shifts is {list(shifts)}: expected two shares of the width, 0 <= low < high <= 1")
        generator = torch.Generator().manual_seed(epoch_seed(seed, epoch))
        width = self.panoramas.shape[-1]
        rows = torch.randperm(len(self), generator=generator)
        deltas = torch.randint(math.ceil(low * width), math.ceil(high * width), (len(self),), generator=generator)
        return list(zip(rows.tolist(), deltas.tolist(), strict=True))


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of all draws of an epoch."""
    return seed * 100_003 + epoch


def on_disk(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor of zeros in an unnamed temporary file."""
    with tempfile.NamedTemporaryFile() as file:
        return torch.from_file(file.name, shared=True, size=math.prod(shape), dtype=dtype).view(shape)
