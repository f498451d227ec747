"""What a network receives of an image: a view of the panorama, resized to the network's input size."""

import io
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, center_crop, pil_to_tensor, resize, to_pil_image

from clip360.geometry.canonical_yaw import at_canonical_yaw
from clip360.geometry.panorama import perspectives
from clip360.geometry.views import View
from clip360.models.clip import Clip, normalise
from clip360.models.protocol import RESIZE_MODES


@dataclass(frozen=True)
class Resampled:
    """Images uint8 [B, 3, H, W] resized to ``scale`` of their size and back (bicubic): the same shape."""

    scale: float

    def __call__(self, images: Tensor) -> Tensor:
        size = images.shape[-2:]
        smaller = resize(images, [round(self.scale * pixels) for pixels in size], InterpolationMode.BICUBIC)
        return resize(smaller, list(size), InterpolationMode.BICUBIC)


def views_around(panoramas: Tensor, *, n_views: int, fov: float, size: int) -> Tensor:
    """Perspective views in equal steps around the horizon: uint8 [B, 3, H, 2H] -> uint8 [B, n_views, 3, size, size]."""
    yaws = [360 / n_views * k for k in range(n_views)]
    images = perspectives(panoramas.float() / 255, yaws, fov=fov, size=size)
    return (images * 255).round().byte().transpose(0, 1)


def reencode_jpeg(images: Tensor, quality: int) -> Tensor:
    """Images uint8 [B, 3, H, W] encoded as JPEG files of that quality and decoded again: the same shape."""
    decoded = []
    for image in images.cpu():
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        decoded.append(pil_to_tensor(Image.open(file)))
    return torch.stack(decoded).to(images.device)


def resize_to_input(images: Tensor, size: tuple[int, int], mode: str, interpolation: str = "bicubic") -> Tensor:
    """Images [B, 3, H, W] resized to ``size`` (height, width) with antialiasing, by open_clip's ``resize_mode``.

    ``shortest`` fills the size and crops the middle, ``longest`` shows all with black bars, ``squash`` changes the aspect.

    >>> resize_to_input(torch.full((1, 3, 8, 16), 9, dtype=torch.uint8), (4, 4), "longest")[0, 0, :, 0]
    tensor([0, 9, 9, 0], dtype=torch.uint8)
    """
    height, width = images.shape[-2:]
    resized_size = size
    if mode != "squash":
        ratio = (max if mode == "longest" else min)(height / size[0], width / size[1])
        resized_size = (round(height / ratio), round(width / ratio))
    resized = resize(images, list(resized_size), InterpolationMode(interpolation), antialias=True)
    return center_crop(resized, list(size))


def tensor_transform(clip: Clip) -> View:
    """The model's own transform in batches, on the images' device: uint8 [B, 3, H, W] -> float32 [B, 3, S, S].

    It differs from PIL's by one level in one pixel of seven, because PIL rounds between its two passes.
    """
    config, size = clip.network.visual.preprocess_cfg, input_size(clip)
    mode = RESIZE_MODES.get(clip.view, config["resize_mode"])

    def transform(images: Tensor) -> Tensor:
        return normalise(clip.network, resize_to_input(images, size, mode, config["interpolation"]))

    return transform


def input_size(clip: Clip) -> tuple[int, int]:
    """Height and width of the network's input in pixels."""
    size = clip.network.visual.preprocess_cfg["size"]
    return tuple(size) if isinstance(size, (tuple, list)) else (size, size)


def network_views(clip: Clip, images: Tensor) -> Tensor:
    """The images that the network embeds in place of each image [B, 3, H, W]: [B, K, 3, H', W'].

    Images that are not 2:1 are no panoramas and stay as they are (K = 1). A panorama is first shifted to its canonical yaw, if
    the model says so; under ``multi_view`` the K perspective views around it take its place.
    """
    if images.shape[-1] != 2 * images.shape[-2]:
        return images[:, None]
    if clip.canonical_yaw:
        images = at_canonical_yaw(images)
    if clip.view == "multi_view":
        protocol = clip.protocol
        return views_around(images, n_views=protocol.n_views, fov=protocol.view_fov, size=images.shape[-2] // 2)
    return images[:, None]


def network_inputs(clip: Clip, images: Tensor) -> Tensor:
    """Images uint8 [B, 3, H, W] as the model's transform passes them to the network: float32 [B, 3, S, S or 2S]."""
    return torch.stack([clip.preprocess(to_pil_image(image)) for image in images])
