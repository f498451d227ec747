"""An epoch of fine-tuning against the same epoch without caches.

Fine-tuning decodes each panorama once, embeds each text once and computes the frozen model's scores once. Without these
caches, every step reads its files, embeds its texts and runs the frozen model.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image

from clip360.data.image_set import ImageSet, read_panorama
from clip360.finetune.data import DECODE_BATCH, Item, Pair, ShiftedPanoramas, embed_inputs
from clip360.finetune.loop import fine_tune
from clip360.finetune.methods import find_method, trained_weights
from clip360.finetune.objectives import Objective, ShiftLoss
from clip360.geometry.panorama import circular_shift
from clip360.models.clip import Clip
from clip360.scoring.embedding import embed_texts
from pipeline.parameters import Finetune
from tools.benchmark.rounds import compare, interleave, largest_difference

CACHED, UNCACHED = "with caches", "the same epoch without caches"
TARGET = 1.3  # ratio of the time without caches to the time with caches


class UncachedPanoramas(ShiftedPanoramas):
    """The same pairs, but each panorama is decoded and transformed whenever a batch draws it."""

    def __init__(self, image_set: ImageSet, preprocess: Callable):
        super().__init__([image_set.batches(DECODE_BATCH)], len(image_set.table), preprocess)
        self.files = [image_set.images / name for name in image_set.table.image]

    def __getitem__(self, item: Item) -> Pair:
        panorama = read_panorama(self.files[item.row])
        partner, shifted = (
            self.preprocess(to_pil_image(image)) for image in (panorama, circular_shift(panorama, item.shift))
        )
        return Pair(item.row, item.shift, item.viewpoint, -1, partner, shifted)


class UncachedShiftLoss(ShiftLoss):
    """The same loss, but every step embeds its texts and its panoramas by the frozen model."""

    def __init__(self, clip: Clip, panoramas: ShiftedPanoramas, texts: list[str], **settings):
        super().__init__(clip, panoramas, texts, **settings)
        self.texts, self.frozen = texts, replace(clip, network=deepcopy(clip.network))

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        rows = pair.row.cpu()
        texts = embed_texts(self.frozen, [self.texts[row] for row in rows])
        scores = self.scores(embed_inputs(self.frozen, pair.partner), texts)
        self.reference["texts"][rows], self.reference["scores"][rows] = texts, scores
        return super().losses(network, pair)


def compare_epochs(
    clip: Clip, image_set: ImageSet, method: str, finetune: Finetune, folder: Path, *, rounds: int
) -> dict:
    """The row that compares an epoch of an adaptation method with and without caches.

    ``finetune`` is that section of the parameters; ``folder`` takes checkpoints. Raises RuntimeError where the losses of
    the two differ.
    """
    n_images, texts = len(image_set.table), image_set.texts
    settings = {
        "lam": 0.5,
        "shift_range": (0.0, 1.0),
        "n_shifts": finetune.n_shifts,
        "n_worst": finetune.n_worst,
    }
    panoramas = ShiftedPanoramas([image_set.batches(DECODE_BATCH)], n_images, clip.preprocess)
    objectives = {
        CACHED: ShiftLoss(clip, panoramas, texts, **settings),
        UNCACHED: UncachedShiftLoss(clip, UncachedPanoramas(image_set, clip.preprocess), texts, **settings),
    }
    lora = finetune.lora.model_dump()
    optimisation = finetune.optimisation.model_dump() | {"epochs": 1}

    def training(objective: Objective) -> Callable[[], Tensor]:
        """A function that trains one epoch from the same initial weights at each call and gives the loss of each step."""
        copy = replace(clip, network=deepcopy(clip.network))
        adapted = find_method(method).attach(copy, **lora)
        initial_weights = deepcopy(trained_weights(adapted))

        def epoch() -> Tensor:
            adapted.network.load_state_dict(initial_weights, strict=False)
            steps: list[dict[str, float]] = []
            fine_tune(adapted, objective, checkpoints=folder, log=steps.append, **optimisation)
            return torch.tensor([step["loss"] for step in steps])

        return epoch

    timings = interleave({name: training(objective) for name, objective in objectives.items()}, rounds)
    row = {"task": f"fine-tuning, {method}", "model": clip.name, "reference": UNCACHED}
    row |= compare(timings, CACHED, UNCACHED, n_images, target=TARGET)
    difference = largest_difference(f"fine-tuning {clip.name}", timings.results[CACHED], timings.results[UNCACHED])
    return row | {"largest difference": difference}
