"""How many panoramas a profile has, and how large: those on disk, those that the pipeline renders, and assumed ones."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from clip360.data.image_set import load_image_set
from clip360.names import VALIDATION
from pipeline.parameters import Parameters
from pipeline.plan.rehearsal import GreyPanoramas, grey_panoramas


class Assumed(NamedTuple):
    """The number and the height in pixels of the panoramas of a set that is not there yet."""

    n_images: int
    height: int


class PlannedSets:
    """The image sets of a profile as grey panoramas; ``missing`` are the folders of which ``assumed`` was taken."""

    def __init__(self, params: Parameters, assumed: Assumed):
        self.params, self.assumed = params, assumed
        self.missing: set[str] = set()

    def probe_sets(self, n_images: int | None = None) -> list[GreyPanoramas]:
        """The first ``n_images`` panoramas (None: all) of each of `image_sets`."""
        return [self.probe_set(name).head(n_images) for name in self.params.image_sets]

    def probe_set(self, name: str) -> GreyPanoramas:
        return self.open(Path(self.params.data, name))

    def finetuning_set(self) -> GreyPanoramas:
        return self.open(Path(self.params.finetune.image_set))

    def finetuning(self) -> tuple[GreyPanoramas, GreyPanoramas | None]:
        """The panoramas that models are fine-tuned on, and those that runs are chosen by, None where there are none.

        ValueError where none are left to train on.
        """
        panoramas, n_validation = self.finetuning_set(), self.params.finetune.n_validation
        if len(panoramas.table) <= n_validation:
            raise ValueError(
                f"--images is {len(panoramas.table)}: expected more than the {n_validation} panoramas of `finetune.n_validation`, so that"
                " some are left to train on"
            )
        last = replace(panoramas, name=VALIDATION, table=panoramas.table.tail(n_validation))
        return panoramas.head(len(panoramas.table) - n_validation), last if n_validation else None

    def tradeoff_sets(self) -> list[GreyPanoramas]:
        """The image sets of the trade-off, as ``pipeline.tradeoff.read_image_sets`` reads them."""
        training, validation = self.finetuning()
        sets = [*self.probe_sets(), training.head(self.params.finetune.n_validation or None)]
        return [*sets, validation] if validation else sets

    def open(self, folder: Path) -> GreyPanoramas:
        """The set in a folder: as the pipeline renders it, as it is on disk, or as assumed."""
        rendered = self.params.rendered_sets.get(folder.name)
        if rendered and folder == self.params.results / "image_sets" / folder.name:
            return self._made_up(folder, rendered.n_images, rendered.height)
        if not folder.is_dir():
            self.missing.add(str(folder))
            return self._made_up(folder, *self.assumed)
        image_set = load_image_set(folder, pairing="order")
        height = image_set.read(image_set.table.image.iloc[0]).shape[-2]
        return grey_panoramas(image_set.name, image_set.table, height)

    def _made_up(self, folder: Path, n_images: int, height: int) -> GreyPanoramas:
        cues = self.params.probe_sets.format_cues
        rows = [
            {"image": f"{k}.jpg", "caption": f"panorama {k} of {folder.name}", "cue": cues[k % len(cues)]}
            for k in range(n_images)
        ]
        return grey_panoramas(folder.name, pd.DataFrame(rows), height)
