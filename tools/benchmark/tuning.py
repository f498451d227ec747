"""The fine-tuning step against the same with nothing kept: files, texts and the frozen model's scores read anew."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image

from clip360.data.image_set import ImageSet, read_panorama
from clip360.finetune.data import DECODED, Item, Pair, ShiftedPanoramas, embed_inputs
from clip360.finetune.loop import fine_tune
from clip360.finetune.methods import find_strategy, trained
from clip360.finetune.objectives import Objective, ShiftLoss
from clip360.geometry.panorama import circular_shift
from clip360.models.clip import Clip
from clip360.scoring.clip_score import clip_score
from clip360.scoring.embedding import embed_texts
from tools.benchmark.rounds import compare, difference, interleave

ANEW = "the same step with nothing kept"
TARGET = 1.3


class FromFiles(ShiftedPanoramas):
    """The same pairs, each decoded and resized when it is drawn."""

    def __init__(self, pictures: ImageSet, preprocess: Callable):
        super().__init__([pictures.batches(DECODED)], len(pictures.table), preprocess)
        self.files = [pictures.images / name for name in pictures.table.image]

    def __getitem__(self, item: Item) -> Pair:
        panorama = read_panorama(self.files[item.row])
        seen = (panorama, circular_shift(panorama, item.delta))
        return Pair(item.row, item.delta, item.viewpoint, -1, *(self.preprocess(to_pil_image(x)) for x in seen))


class Anew(ShiftLoss):
    """The same loss, with what the frozen model says of a batch embedded in every step."""

    def __init__(self, clip: Clip, panoramas: ShiftedPanoramas, texts: list[str], **settings):
        super().__init__(clip, panoramas, texts, **settings)
        self.texts, self.frozen = texts, replace(clip, network=deepcopy(clip.network))

    def losses(self, network: nn.Module, pair: Pair) -> dict[str, Tensor]:
        rows = pair.row.cpu()
        texts = embed_texts(self.frozen, [self.texts[row] for row in rows])
        scores = clip_score(embed_inputs(self.frozen, pair.beside), texts)
        self.kept["texts"][rows], self.kept["scores"][rows] = texts, scores
        return super().losses(network, pair)


def compare_steps(clip: Clip, pictures: ImageSet, strategy: str, finetune: dict, folder: Path, *, rounds: int) -> dict:
    """The row that compares an epoch of both. RuntimeError where losses differ.

    ``finetune`` is that section of params.yaml; ``folder`` takes checkpoints.
    """
    count, texts = len(pictures.table), pictures.texts
    settings = {"weight": 0.5, "shifts": (0.0, 1.0), "views": finetune["views"], "worst": finetune["worst"]}
    panoramas = ShiftedPanoramas([pictures.batches(DECODED)], count, clip.preprocess)
    objectives = {
        "kept": ShiftLoss(clip, panoramas, texts, **settings),
        ANEW: Anew(clip, FromFiles(pictures, clip.preprocess), texts, **settings),
    }
    optimisation = finetune["optimisation"] | {"epochs": 1}

    def training(objective: Objective) -> Callable[[], Tensor]:
        """Trains one epoch at each call, from the same first weights; gives the losses of its steps."""
        copy = replace(clip, network=deepcopy(clip.network))
        tuned = find_strategy(strategy).attach(copy, **finetune["adapter"])
        first = deepcopy(trained(tuned))

        def epoch() -> Tensor:
            tuned.network.load_state_dict(first, strict=False)
            steps: list[dict[str, float]] = []
            fine_tune(tuned, objective, checkpoints=folder, log=steps.append, **optimisation)
            return torch.tensor([step["loss"] for step in steps])

        return epoch

    timed = interleave({name: training(objective) for name, objective in objectives.items()}, rounds)
    losses = timed.results
    row = {"what": f"fine-tuning, {strategy}", "model": clip.name, "against": ANEW}
    row |= compare(timed, "kept", ANEW, count, target=TARGET)
    return row | {"largest difference": difference(f"fine-tuning {clip.name}", losses["kept"], losses[ANEW])}
