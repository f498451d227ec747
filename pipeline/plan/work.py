"""How much there is to do: counts that add up over panoramas and stages."""

from dataclasses import dataclass, fields, replace

PEAKS = ("memory", "pass_flops")  # of several stages the largest, not the sum


@dataclass(frozen=True)
class Work:
    """The work of one or several stages.

    panoramas        images that are decoded, a file of a perspective view included
    decoded          their pixels; a copy that is encoded as JPEG and decoded again counts as several
    resized          pixels that PIL resizes to network inputs, counted before the resize
    rendered         pixels that the renderer computes
    image_passes, text_passes
                     images and texts that a tower encodes without a gradient
    flops            floating-point operations of these passes, two for a multiplication and an addition
    pass_flops       those of one pass, of the largest network
    steps            training steps of a CLIP
    training_flops   floating-point operations of these steps
    head_steps       training steps of small heads on embeddings that are already there
    memory           peak in bytes, of the device that computes: weights, activations, gradients, state of the optimiser
    disk             bytes that are written: weights, rendered images, text embeddings
    """

    panoramas: float = 0
    decoded: float = 0
    resized: float = 0
    rendered: float = 0
    image_passes: float = 0
    text_passes: float = 0
    flops: float = 0
    pass_flops: float = 0
    steps: float = 0
    training_flops: float = 0
    head_steps: float = 0
    memory: float = 0
    disk: float = 0

    def __add__(self, other: "Work") -> "Work":
        def combined(name: str) -> float:
            ours, theirs = getattr(self, name), getattr(other, name)
            return max(ours, theirs) if name in PEAKS else ours + theirs

        return Work(**{field.name: combined(field.name) for field in fields(Work)})

    def __mul__(self, factor: float) -> "Work":
        """The same work ``factor`` times, one after the other: peaks stay."""
        counts = {field.name: factor * getattr(self, field.name) for field in fields(Work) if field.name not in PEAKS}
        return replace(self, **counts)


def extrapolate(small: Work, large: Work, *, n_small: int, n_large: int, n: int) -> Work:
    """The work for n images, where it grows linearly, from that for ``n_small`` and ``n_large`` images.

    >>> extrapolate(Work(text_passes=12), Work(text_passes=14), n_small=2, n_large=4, n=100).text_passes
    110.0
    """
    slope = (large + small * -1) * (1 / (n_large - n_small))
    return small + slope * (n - n_small)
