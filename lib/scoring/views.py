"""What a network sees of a picture: a view of the panorama, brought to the network's input size."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, center_crop, pil_to_tensor, resize

from clip360.geometry.panorama import circular_shift, mirror, perspective, perspectives
from clip360.models.clip import Clip, normalise

View = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Shift:
    """The circular shift by a share of the width: δ = share · W, to the nearest pixel, uint8 [B, 3, H, W] -> the same."""

    share: float

    def __call__(self, panoramas: Tensor) -> Tensor:
        return circular_shift(panoramas, round(self.share * panoramas.shape[-1]))


@dataclass(frozen=True)
class Mirrored:
    """The mirror image of a panorama shifted by a share of its width, uint8 [B, 3, H, W] -> the same."""

    share: float = 0.0

    def __call__(self, panoramas: Tensor) -> Tensor:
        return mirror(Shift(self.share)(panoramas))


@dataclass(frozen=True)
class Window:
    """The middle square of a panorama shifted by ``share``, turned in itself by ``turn`` of its own width.

    uint8 [B, 3, H, 2H] -> uint8 [B, 3, H, H]. Every turn shows the same half of the sphere, elsewhere in the picture, which no
    camera would: the window's left edge follows its right one.
    """

    share: float
    turn: float

    def __call__(self, panoramas: Tensor) -> Tensor:
        height = panoramas.shape[-2]
        square = center_crop(Shift(self.share)(panoramas), [height, height])
        return circular_shift(square, round(self.turn * height))


@dataclass(frozen=True)
class Resampled:
    """Pictures uint8 [B, 3, H, W] as they come back from ``share`` of their size."""

    share: float

    def __call__(self, pictures: Tensor) -> Tensor:
        size = pictures.shape[-2:]
        smaller = resize(pictures, [round(self.share * pixels) for pixels in size], InterpolationMode.BICUBIC)
        return resize(smaller, list(size), InterpolationMode.BICUBIC)


def perspective_view(*, yaw: float, pitch: float, fov: float, size: int) -> View:
    """The ordinary photograph within a panorama: uint8 [B, 3, H, 2H] -> uint8 [B, 3, size, size]."""

    def view(panoramas: Tensor) -> Tensor:
        seen = perspective(panoramas.float() / 255, yaw=yaw, pitch=pitch, fov=fov, size=size)
        return (seen * 255).round().byte()

    return view


def around(panoramas: Tensor, *, count: int, fov: float, size: int) -> Tensor:
    """``count`` photographs in equal steps around the horizon: uint8 [B, 3, H, 2H] -> uint8 [B, count, 3, size, size]."""
    yaws = [360 / count * k for k in range(count)]
    seen = perspectives(panoramas.float() / 255, yaws, fov=fov, size=size)
    return (seen * 255).round().byte().transpose(0, 1)


def fit(pictures: Tensor, size: tuple[int, int], mode: str, interpolation: str = "bicubic") -> Tensor:
    """Pictures [B, 3, H, W] resized to ``size`` with antialiasing, as open_clip's ``resize_mode`` says.

    ``shortest`` fills the size and crops the middle, ``longest`` shows all with black bars, ``squash`` changes the aspect.

    >>> fit(torch.full((1, 3, 8, 16), 9, dtype=torch.uint8), (4, 4), "longest")[0, 0, :, 0]
    tensor([0, 9, 9, 0], dtype=torch.uint8)
    """
    height, width = pictures.shape[-2:]
    within = size
    if mode != "squash":
        ratio = (max if mode == "longest" else min)(height / size[0], width / size[1])
        within = (round(height / ratio), round(width / ratio))
    return center_crop(resize(pictures, list(within), InterpolationMode(interpolation), antialias=True), list(size))


def tensor_transform(clip: Clip) -> View:
    """The model's own transform on tensors, batched, on the device they lie on: uint8 [B, 3, H, W] -> float [B, 3, S, S].

    PIL rounds between its two passes, so one pixel in seven differs by one level.
    """
    settings, size = clip.network.visual.preprocess_cfg, input_size(clip)

    def transform(pictures: Tensor) -> Tensor:
        return normalise(clip.network, fit(pictures, size, settings["resize_mode"], settings["interpolation"]))

    return transform


def input_size(clip: Clip) -> tuple[int, int]:
    """Height and width of what the network reads."""
    size = clip.network.visual.preprocess_cfg["size"]
    return tuple(size) if isinstance(size, (tuple, list)) else (size, size)


def looks(clip: Clip, pictures: Tensor) -> Tensor:
    """The pictures that stand for each, [B, K, 3, H, W]: views around a panorama under ``multi_view``, else itself."""
    if clip.view == "multi_view" and pictures.shape[-1] == 2 * pictures.shape[-2]:
        protocol = clip.protocol
        return around(pictures, count=protocol.view_count, fov=protocol.view_fov, size=pictures.shape[-2] // 2)
    return pictures[:, None]


def saved_copies(pictures: Tensor, quality: int) -> Tensor:
    """Pictures uint8 [B, 3, H, W] as they come back from JPEG files of that quality."""
    copies = []
    for picture in pictures.cpu():
        file = io.BytesIO()
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        copies.append(pil_to_tensor(Image.open(file)))
    return torch.stack(copies).to(pictures.device)
