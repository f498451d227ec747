"""Named view protocols: what CLIP is shown of a panorama, as published evaluations of generators do it, each with a hash.

Two scores are comparable only if their protocols have the same hash and their models the same weights.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import open_clip
import torch

from clip360.geometry.views import Camera, Shift, View, cube_faces, tangent_views
from clip360.models.clip import Clip
from clip360.models.protocol import RESIZE_MODES
from clip360.scoring.view_coverage import sphere_fraction
from clip360.scoring.views import input_size

YAW, LATITUDE = "yaw", "latitude"  # what the groups of a protocol's views differ in
DEFINITION = 1  # raised whenever code changes the pixels that a view of the same name and options shows


def camera_yaw(fraction: float) -> float:
    """The turn of the camera to the right, in degrees, that a shift by a fraction of the width amounts to.

    >>> camera_yaw(0.25), camera_yaw(0.75)
    (-90.0, 90.0)
    """
    return 0.0 - 360 * fraction if fraction <= 0.5 else 360 * (1 - fraction)


@dataclass(frozen=True)
class ViewProtocol:
    """A way to score a panorama: the mean of the scores of its views, each clamped as the model's protocol says.

    shows            what the network receives, in words
    sphere_fraction  fraction of the sphere's area that any view shows, to two digits
    groups           the views by yaw or band of latitude; the score is the mean over all views, not over groups
    group_axis       ``YAW``, ``LATITUDE``, or None for a single view
    resize_mode      how a view that is not square becomes square: a key of ``protocol.RESIZE_MODES``
    canonical_yaw    is the panorama shifted to its canonical yaw first?
    """

    shows: str
    sphere_fraction: float
    groups: Mapping[str, Sequence[View]]
    group_axis: str | None = None
    resize_mode: str = "squash"
    canonical_yaw: bool = False

    @property
    def views(self) -> list[View]:
        """All views, one forward pass each."""
        return [view for group in self.groups.values() for view in group]


def shift_groups(n_shifts: int) -> dict[str, list[View]]:
    """Shifts in equal steps of a whole turn, by the yaw of the camera that sees them in the middle, in degrees.

    >>> shift_groups(2)
    {'0': [Shift(fraction=0.0)], '-180': [Shift(fraction=0.5)]}
    """
    fractions = [step / n_shifts for step in range(n_shifts)]
    return {f"{camera_yaw(fraction):g}": [Shift(fraction)] for fraction in fractions}


def horizon_groups(n_views: int) -> dict[str, list[View]]:
    """Perspective views of 90 degrees on the horizon in equal steps, by their yaw in degrees."""
    yaws = [camera_yaw(step / n_views) for step in range(n_views)]
    return {f"{yaw:g}": [Camera(yaw, 0.0, 90.0)] for yaw in yaws}


WHOLE = {"whole": [Shift(0.0)]}
PROTOCOLS: dict[str, ViewProtocol] = {
    "half-crop": ViewProtocol(
        "the square in the middle, as torchmetrics and PanFusion show it", 0.5, WHOLE, resize_mode="center_crop"
    ),
    "squash": ViewProtocol("the panorama squashed into a square, as PanoEval shows it", 1.0, WHOLE),
    "views-8": ViewProtocol("8 perspective views of 90 degrees on the horizon", 0.7, horizon_groups(8), YAW),
    "cube-6": ViewProtocol("the six faces of a cube", 1.0, cube_faces(), LATITUDE),
    "tangent-18": ViewProtocol("18 perspective views of 80 degrees in four rows", 1.0, tangent_views(), LATITUDE),
    "robust-8": ViewProtocol("the squashed panorama at 8 shifts in equal steps", 1.0, shift_groups(8), YAW),
    "canonical": ViewProtocol("the squashed panorama, shifted to its canonical yaw", 1.0, WHOLE, canonical_yaw=True),
}
DEFAULTS = ("half-crop", "squash", "robust-8")


@dataclass(frozen=True)
class NetworkInput:
    """One forward pass: a view of a panorama, and how the network receives it."""

    view: View
    resize_mode: str
    canonical_yaw: bool


def require_protocols(clip: Clip, names: Sequence[str]) -> None:
    """Raise ValueError for a name that is no protocol, or is named twice, and for a network that takes no squares."""
    for name in names:
        if name not in PROTOCOLS:
            raise ValueError(f"protocol {name!r}: expected one of {', '.join(PROTOCOLS)}")
    if len(set(names)) < len(names):
        raise ValueError("a protocol is named twice: expected each once")
    if names and clip.view == "wide":
        raise ValueError("the view wide gives a network that takes no squares: expected no view protocols with it")


def network_inputs_of(clip: Clip, protocol: ViewProtocol) -> list[NetworkInput]:
    """The forward passes of a protocol by a model, in the order of ``protocol.views``."""
    canonical = protocol.canonical_yaw or clip.canonical_yaw
    return [NetworkInput(view, protocol.resize_mode, canonical) for view in protocol.views]


def shift_protocol(clip: Clip, n_shifts: int) -> ViewProtocol:
    """The model's own view of a panorama at ``n_shifts`` shifts in equal steps."""
    shows = f"the view {clip.view} at {n_shifts} shifts in equal steps"
    fraction = 1.0  # the halves that the centre crop shows at two shifts or more cover the sphere
    if clip.view == "multi_view":
        n_views = math.lcm(clip.protocol.n_views, n_shifts)
        fraction = round(sphere_fraction("multi_view", n_views=n_views, fov=clip.protocol.view_fov), 2)
    return ViewProtocol(shows, fraction, shift_groups(n_shifts), YAW, resize_mode=clip.view)


def as_received(clip: Clip, network_input: NetworkInput) -> Clip:
    """The same network, with the transform of a network input."""
    mode, canonical = network_input.resize_mode, network_input.canonical_yaw
    if mode != clip.view:
        config = open_clip.transform.PreprocessCfg(
            **clip.network.visual.preprocess_cfg | {"resize_mode": RESIZE_MODES[mode]}
        )
        transform = open_clip.transform.image_transform_v2(config, is_train=False)
        clip = replace(clip, view=mode, preprocess=transform)
    return clip if canonical == clip.canonical_yaw else replace(clip, canonical_yaw=canonical)


def input_definition(clip: Clip, network_input: NetworkInput) -> dict:
    """Everything but the network's weights that changes the embedding of a panorama, as JSON can hold it."""
    config, protocol = clip.network.visual.preprocess_cfg, clip.protocol
    definition = {
        "definition": DEFINITION,
        "view": repr(network_input.view),
        "resize_mode": network_input.resize_mode,
        "canonical_yaw": network_input.canonical_yaw,
        "size": list(input_size(clip)),
        "transform": {name: config[name] for name in ("mean", "std", "interpolation", "fill_color")},
        "resize": protocol.resize,
        "precision": protocol.precision,
        "activation": protocol.activation,
    }
    if network_input.resize_mode == "multi_view":
        definition |= {"n_views": protocol.n_views, "view_fov": protocol.view_fov}
    return definition


def protocol_hash(clip: Clip, protocol: ViewProtocol) -> str:
    """Eight hexadecimal digits that differ wherever a model could score the same panorama and text differently.

    They cover views, field of view, input size, transform, resize, precision, activation, clamping and decimals, but not the
    weights of the network.
    """
    inputs = [input_definition(clip, network_input) for network_input in network_inputs_of(clip, protocol)]
    scoring = {"clamp_at_zero": clip.protocol.clamp_at_zero, "decimals": clip.protocol.decimals}
    return short_hash({"inputs": inputs, "score": "mean over views"} | scoring)


def describe_protocol(clip: Clip, protocol: ViewProtocol) -> dict[str, str | float | int]:
    """What a summary says of a protocol: its hash with this model's options, and what it shows at which cost."""
    return {
        "hash": protocol_hash(clip, protocol),
        "shows": protocol.shows,
        "sphere_fraction": protocol.sphere_fraction,
        "forward_passes": len(protocol.views),
    }


def short_hash(definition: object) -> str:
    """Eight hexadecimal digits of the SHA-256 of a definition in JSON."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:8]


def weights_sha256(clip: Clip) -> str:
    """SHA-256 of the network's tensors as they are loaded, adapters included: names, shapes, types and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(clip.network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
