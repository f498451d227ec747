"""What a card measures and how: two cards are comparable only if their protocols have the same hash."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from clip360.data.prompts import TEMPLATE
from clip360.geometry.views import shift_fractions
from clip360.models.protocol import Protocol
from clip360.reports.view_protocols import short_hash
from clip360.stats.inference import Inference

FORMAT = 1  # of the JSON; raised whenever a number of the same name is computed in another way
CROP, SQUASH, WIDE, MULTI_VIEW = "center_crop", "squash", "wide", "multi_view"
VIEWS = (CROP, SQUASH, "letterbox", WIDE, MULTI_VIEW)
REQUIRED = (CROP, SQUASH)  # the released view, which others are compared with, and the view whose inputs are rolled


@dataclass(frozen=True)
class CardProtocol:
    """The shifts, windows, cues and the control of a card; the defaults are those of the notebooks 01, 02 and 06.

    n_shifts        shifts of a panorama in equal steps of a whole turn, the unshifted panorama included
    n_windows       windows of the centre crop, and shifts within each; the shifts by multiples of 1 / ``n_windows`` are those
                    whose worst is compared with β
    generic_cues    the cues that the format cue is compared with
    control_fov     field of view in degrees of the perspective view that serves as control
    """

    n_shifts: int = 16
    n_windows: int = 8
    generic_cues: tuple[str, ...] = ("photo", "image", "picture", "view")
    control_fov: float = 75.0

    def __post_init__(self):
        if self.n_windows < 2 or self.n_shifts < self.n_windows or self.n_shifts % self.n_windows:
            raise ValueError(
                f"--shifts is {self.n_shifts} and --windows {self.n_windows}: expected a multiple of the windows, of which"
                " there are at least 2"
            )

    @property
    def shifts(self) -> list[float]:
        """All shifts but 0, as fractions of the width."""
        return shift_fractions(self.n_shifts)

    @property
    def bound_shifts(self) -> list[float]:
        """The shifts whose worst is compared with β, as fractions of the width."""
        return shift_fractions(self.n_windows)


def require_views(views: Sequence[str]) -> None:
    """Raise ValueError for a view that does not exist or is named twice, and where one is missing that every card has."""
    for view in views:
        if view not in VIEWS:
            raise ValueError(f"--views names {view!r}: expected some of {', '.join(VIEWS)}")
    if len(set(views)) < len(views):
        raise ValueError("--views names a view twice: expected each once")
    for view in REQUIRED:
        if view not in views:
            raise ValueError(f"--views lacks {view}: expected {' and '.join(REQUIRED)}, which every card compares with")


def definition(protocol: CardProtocol, scoring: Protocol, inference: Inference) -> dict:
    """Everything but model and image set that changes a number of a card, as JSON holds it; views are compared one by one."""
    names = ("n_views", "view_fov", "resize", "precision", "activation", "clamp_at_zero", "decimals")
    return {
        "format": FORMAT,
        **asdict(protocol),
        "generic_cues": list(protocol.generic_cues),
        "template": TEMPLATE,
        "scoring": {name: getattr(scoring, name) for name in names},
        "inference": asdict(inference),
    }


def definition_hash(card_definition: dict) -> str:
    """Eight hexadecimal digits that differ wherever two definitions do."""
    return short_hash(card_definition)
