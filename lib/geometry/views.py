"""Views of panoramas that no network is needed for: shifted, mirrored, cut out."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from clip360.geometry.panorama import circular_shift, mirror, perspective

View = Callable[[Tensor], Tensor]  # uint8 images [B, 3, H, W] -> uint8 images [B, 3, H', W']


def shift_fractions(n_shifts: int) -> list[float]:
    """All shifts by multiples of W / ``n_shifts`` except 0, as fractions of the width W.

    >>> shift_fractions(4)
    [0.25, 0.5, 0.75]
    """
    return [step / n_shifts for step in range(1, n_shifts)]


def between_fractions(n_shifts: int) -> list[float]:
    """Shifts by (k + 1/4) W / ``n_shifts``, k = 0 ... ``n_shifts`` - 1, as fractions of the width W.

    None is a multiple of W / (2 ``n_shifts``): a mean over ``n_shifts`` or 2 ``n_shifts`` equal steps is not invariant under them.

    >>> between_fractions(2)
    [0.125, 0.625]
    """
    return [(4 * step + 1) / (4 * n_shifts) for step in range(n_shifts)]


@dataclass(frozen=True)
class Shift:
    """The circular shift by ``fraction`` of the width W, to the nearest pixel: uint8 [B, 3, H, W] -> the same shape."""

    fraction: float

    def __call__(self, panoramas: Tensor) -> Tensor:
        return circular_shift(panoramas, round(self.fraction * panoramas.shape[-1]))


@dataclass(frozen=True)
class Mirrored:
    """The mirror image of a panorama shifted by ``fraction`` of its width: uint8 [B, 3, H, W] -> the same shape."""

    fraction: float = 0.0

    def __call__(self, panoramas: Tensor) -> Tensor:
        return mirror(Shift(self.fraction)(panoramas))


@dataclass(frozen=True)
class Window:
    """The central square of a panorama shifted by ``fraction``, then itself shifted circularly.

    ``in_window_shift`` is a fraction of the square's own width; uint8 [B, 3, H, 2H] -> uint8 [B, 3, H, H]. Every in-window
    shift shows the same half of the sphere in another arrangement, which no camera could take: the left edge of the
    square follows its right edge.
    """

    fraction: float
    in_window_shift: float

    def __call__(self, panoramas: Tensor) -> Tensor:
        height = panoramas.shape[-2]
        left = round(height / 2)
        square = Shift(self.fraction)(panoramas)[..., left : left + height]
        return circular_shift(square, round(self.in_window_shift * height))


def perspective_view(*, yaw: float, pitch: float, fov: float, size: int) -> View:
    """A perspective view into a panorama, angles in degrees: uint8 [B, 3, H, 2H] -> uint8 [B, 3, size, size]."""

    def view(panoramas: Tensor) -> Tensor:
        images = perspective(panoramas.float() / 255, yaw=yaw, pitch=pitch, fov=fov, size=size)
        return (images * 255).round().byte()

    return view


@dataclass(frozen=True)
class Camera:
    """A pinhole camera inside a panorama, angles in degrees: uint8 [B, 3, H, 2H] -> uint8 [B, 3, H / 2, H / 2].

    At a field of view of 90 degrees the picture has about as many pixels as the panorama has in a quarter turn, 2H / 4.
    """

    yaw: float
    pitch: float
    fov: float

    def __call__(self, panoramas: Tensor) -> Tensor:
        size = panoramas.shape[-2] // 2
        return perspective_view(yaw=self.yaw, pitch=self.pitch, fov=self.fov, size=size)(panoramas)


def cube_faces() -> dict[str, list[Camera]]:
    """The six faces of a cube, which show every direction once, in the groups of OmniFID (arXiv 2407.18207).

    The four sides are one group: a turn of the panorama by 90 degrees only exchanges them. It also turns the picture that
    looks up and the one that looks down.
    """
    sides = [Camera(yaw, 0.0, 90.0) for yaw in (0.0, 90.0, 180.0, 270.0)]
    return {"up": [Camera(0.0, 90.0, 90.0)], "down": [Camera(0.0, -90.0, 90.0)], "sides": sides}


def tangent_views() -> dict[str, list[Camera]]:
    """The 18 overlapping views of TanDiT (Çapuk et al., 2025): rows of 3, 6, 6 and 3 at the pitches 67.5, 22.5, -22.5, -67.5.

    Each row is a group, as in the first version of its code; its later version, TangentFID, takes each view alone, and so
    depends on where a panorama is cut open. The field of view is its nominal 80 degrees.
    """
    rows = {"top": (3, 67.5), "upper": (6, 22.5), "lower": (6, -22.5), "bottom": (3, -67.5)}
    return {
        name: [Camera(360 / n_views * (k + 0.5), pitch, 80.0) for k in range(n_views)]
        for name, (n_views, pitch) in rows.items()
    }
