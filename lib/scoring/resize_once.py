"""All shifts of a panorama for the price of one resize.

A shift that is a whole number of pixels before and after the resize commutes with it, PIL's rounding included. So where a
model sees the square in the middle, a panorama is resized once, continued beyond its edges, and each shift is cut out.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import pil_to_tensor, resize, to_pil_image

from clip360.models.clip import Clip, normalise
from clip360.scoring.views import Mirrored, Shift, View, Window, input_size

MARGIN = 8  # the panorama is continued by 1 / MARGIN of its width: more than the resize looks beyond a pixel


def resize_once(clip: Clip, panoramas: Tensor, map: Callable[..., Iterable]) -> Tensor | None:
    """Panoramas uint8 [B, 3, H, 2H] as the model's transform resizes them, before the crop: uint8 [B, 3, S, 2S].

    None where no shift can be cut out of that: another view than the centre crop, or sizes that are no whole numbers.
    """
    height, width = panoramas.shape[-2:]
    size, across = input_size(clip)
    if clip.view != "center_crop" or clip.protocol.resize != "pil" or width != 2 * height:
        return None
    if size != across or width % MARGIN or 2 * size % MARGIN:
        return None
    beyond, outside = width // MARGIN, 2 * size // MARGIN
    continued = torch.cat([panoramas[..., -beyond:], panoramas, panoramas[..., :beyond]], dim=-1)
    mode = InterpolationMode(clip.network.visual.preprocess_cfg["interpolation"])

    def one(panorama: Tensor) -> Tensor:
        return pil_to_tensor(resize(to_pil_image(panorama), [size, 2 * size + 2 * outside], mode))

    return torch.stack(list(map(one, continued)))[..., outside:-outside].to(clip.device)


def cut(clip: Clip, resized: Tensor, view: View, width: int) -> Tensor | None:
    """What the network reads, [B, 3, S, S], of a shift, a mirrored shift or a window of panoramas ``width`` pixels wide.

    None for any other view, and for a shift that is no whole number of pixels before and after the resize.
    """
    size = resized.shape[-2]
    if isinstance(view, Mirrored):
        shifted = cut(clip, resized, Shift(view.share), width)
        return None if shifted is None else shifted.flip(-1)
    if isinstance(view, Window) and not (size * view.turn) % 1:
        square = cut(clip, resized, Shift(view.share), width)
        return None if square is None else square.roll(int(size * view.turn), dims=-1)
    if not isinstance(view, Shift) or any((pixels * view.share) % 1 for pixels in (width, 2 * size)):
        return None
    shifted = resized.roll(int(2 * size * view.share), dims=-1)
    return normalise(clip.network, shifted[..., size // 2 : size // 2 + size])
