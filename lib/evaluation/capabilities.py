"""What a model can still do with the pictures of an image set: name, find, tell apart, and know again from elsewhere.

All functions return long tables, one row for each picture and measure: columns model, image_set, image, view, ability, label
(the right class, or the subset of a question), measure (rank, confidence, ...), at (metres or degrees), value.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from clip360.data.prompts import prompt
from clip360.evaluation.attributes import true_rank
from clip360.evaluation.classification import answers, class_scores, embed_classes, presence
from clip360.evaluation.pretraining_evaluation import setting_phrases
from clip360.evaluation.retrieval import own_rank, ranks, ranks_of_several, stays_first
from clip360.models.clip import Clip
from clip360.names import CROP, PANORAMA, PERSPECTIVE
from clip360.scoring.embedding import embed_texts
from clip360.world.attribute_questions import SUBSETS, ask
from clip360.world.captions import scene_caption
from clip360.world.scene import Scene
from clip360.world.vocabulary import COLOURS, SHAPES


@dataclass(frozen=True)
class Examinee:
    """A model before the pictures of one set: who is asked, and about which, in the order of all embeddings."""

    clip: Clip
    image_set: str
    images: Sequence[str]

    def rows(self, view: str, ability: str, measure: str, values, *, at: float = math.nan, label="") -> pd.DataFrame:
        """``values`` [N], one for each picture, in the columns of all these tables."""
        keys = {"model": self.clip.name, "image_set": self.image_set, "image": list(self.images), "view": view}
        columns = {"ability": ability, "label": label, "measure": measure, "at": at}
        return pd.DataFrame(keys | columns | {"value": torch.as_tensor(values).double().numpy()})

    def classified(
        self, view: str, ability: str, seen: Tensor, classes: Tensor, right: Sequence[str], names
    ) -> pd.DataFrame:
        """Zero-shot answers by an ensemble of prompts, and by the first alone; ``classes`` as by ``class_scores``."""
        labels, scale = torch.tensor([list(names).index(name) for name in right]), self.clip.network.logit_scale.exp()
        ensemble, single = (
            answers(class_scores(seen, prompts), labels, list(names), scale=scale.item())
            for prompts in (classes, classes[..., :1, :])
        )
        measures = {"rank": ensemble["rank"], "confidence": ensemble.confidence, "rank_single": single["rank"]}
        return pd.concat([self.rows(view, ability, name, x, label=list(right)) for name, x in measures.items()])


def naming(
    who: Examinee,
    seen: Mapping[str, Tensor],
    scenes: Sequence[Scene],
    things: Sequence[int],
    cues: Mapping[str, list[str]],
) -> pd.DataFrame:
    """Zero-shot classification: the setting of panoramas and photographs, which shapes a panorama holds, and shape and colour
    of the thing asked about, in its crop and in the panorama. ``cues`` are the words of each view's prompts."""
    asked, parts = [scene.things[k] for scene, k in zip(scenes, things, strict=True)], []
    for view, images in seen.items():
        templates = [partial(prompt, cue) for cue in cues[view]]
        classes = partial(embed_classes, who.clip, templates=templates)
        shapes = classes([f"a {shape}" for shape in SHAPES])
        if view == CROP:
            parts.append(who.classified(view, "shape", images, shapes, [thing.shape for thing in asked], SHAPES))
        else:
            places, right = setting_phrases(), [scene.setting for scene in scenes]
            parts.append(who.classified(view, "setting", images, classes(list(places.values())), right, places))
        if view == PANORAMA:
            held = torch.tensor([[any(x.shape == shape for x in scene.things) for shape in SHAPES] for scene in scenes])
            parts.append(who.rows(view, "presence", "auc", presence(class_scores(images, shapes), held)))
        if view in (CROP, PANORAMA):
            named = dict.fromkeys(thing.shape for thing in asked)  # no set, whose order differs from run to run
            coloured = {shape: classes([f"a {colour} {shape}" for colour in COLOURS]) for shape in named}
            own = torch.stack([coloured[thing.shape] for thing in asked])
            parts.append(who.classified(view, "colour", images, own, [thing.colour for thing in asked], COLOURS))
    return pd.concat(parts, ignore_index=True)


def wordings(scenes: Sequence[Scene] | None, captions: Sequence[str], *, count: int, seed: int) -> list[list[str]]:
    """``count`` captions for each picture: its own, and others of its scene; its own alone where scenes are not known."""
    if scenes is None:
        return [[caption] for caption in captions]
    rng = random.Random(f"{seed}/wordings")
    return [
        [own, *(scene_caption(scene, rng) for _ in range(count - 1))]
        for own, scene in zip(captions, scenes, strict=True)
    ]


def finding(
    who: Examinee,
    seen: Mapping[str, Tensor],
    captions: Sequence[Sequence[str]],
    cues: Mapping[str, Sequence[str]],
    turned: Mapping[float, Tensor],
) -> pd.DataFrame:
    """Retrieval in both directions, by the same number of captions for each picture under its cue [N] of each view; and whether
    a panorama finds its first one at every turn (embeddings by degrees)."""
    parts, each = [], len(captions[0])
    owners = torch.arange(len(captions)).repeat_interleave(each)
    for view, own_cues in cues.items():
        texts = [prompt(cue, caption) for cue, own in zip(own_cues, captions, strict=True) for caption in own]
        read = embed_texts(who.clip, texts)
        to_text, to_image = ranks_of_several(seen[view], read, owners)
        parts.append(who.rows(view, "image_to_text", "rank", to_text))
        for k, rank in enumerate(to_image.view(-1, each).T):
            parts.append(who.rows(view, "text_to_image", "rank", rank, label=f"wording {k + 1}"))
        if view == PANORAMA:
            parts.append(who.rows(view, "stays_first", "hit", stays_first(turned, read[::each])))
            parts.append(who.rows(view, "comes_first", "hit", ranks(turned[0.0], read[::each]) == 1))
    return pd.concat(parts, ignore_index=True)


def telling_apart(who: Examinee, seen: Mapping[str, Tensor], asked: Mapping[str, Tensor]) -> pd.DataFrame:
    """Rank of the true caption of the thing asked about among the false ones, in each view; ``asked`` are the captions of each
    subset, [N, 1 + K, D] as by ``embed_questions``."""
    return pd.concat(
        [
            who.rows(view, "attributes", "rank", true_rank((read @ images[..., None]).squeeze(-1)), label=subset)
            for subset, read in asked.items()
            for view, images in seen.items()
        ],
        ignore_index=True,
    )


def embed_questions(
    clip: Clip,
    scenes: Sequence[Scene],
    things: Sequence[int],
    cue: str,
    *,
    seed: int,
    subsets: Sequence[str] = tuple(SUBSETS),
) -> dict[str, Tensor]:
    """For each subset the unit text embeddings [N, 1 + K, D] of the captions about the thing of each scene, the true one first."""
    read = {}
    for subset in subsets:
        questions = ask(scenes, things, subset, seed=seed)
        texts = [prompt(cue, caption) for captions in questions for caption in captions]
        read[subset] = embed_texts(clip, texts).unflatten(0, (len(questions), -1))
    return read


def matched(
    who: Examinee,
    matchers: Mapping[str, nn.Module],
    crops: Tensor,
    asked: Mapping[str, Tensor],
    photographs: Tensor,
    texts: Tensor,
) -> pd.DataFrame:
    """Ranks by each of the ``matchers`` (the measure): of the true caption of each crop [N, D] among those ``asked`` by subset,
    and of photographs [N, D] and their texts [N, D] among all."""
    own, parts = torch.arange(len(texts)), []
    with torch.no_grad():
        for name, matcher in matchers.items():
            for subset, read in asked.items():
                parts.append(who.rows(CROP, "attributes", name, true_rank(matcher(crops, read)), label=subset))
            scores = matcher(photographs, texts)
            parts.append(who.rows(PERSPECTIVE, "image_to_text", name, own_rank(scores, own)))
            parts.append(who.rows(PERSPECTIVE, "text_to_image", name, own_rank(scores.T, own)))
    return pd.concat(parts, ignore_index=True)


def knowing_again(
    who: Examinee, view: str, ability: str, seen: Mapping[float, Tensor], right: Sequence[str] | None, cue: str
) -> pd.DataFrame:
    """Embeddings by distance (metres or degrees) from where the picture at 0 was taken: their cosine with it, and the zero-shot
    rank of the right setting, where it is known."""
    places = setting_phrases()
    classes = embed_classes(who.clip, list(places.values()), [partial(prompt, cue)])
    parts = []
    for at, images in seen.items():
        parts.append(who.rows(view, ability, "agreement", (images * seen[0.0]).sum(-1), at=at))
        if right is not None:
            labels = torch.tensor([list(places).index(name) for name in right])
            parts.append(who.rows(view, ability, "rank", own_rank(class_scores(images, classes), labels), at=at))
    return pd.concat(parts, ignore_index=True)
