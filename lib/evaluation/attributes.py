"""Fine-grained attributes: one true caption against others that differ in an attribute (FG-OVD; arXiv 2404.03539)."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from clip360.evaluation.retrieval import own_rank

REQUIRED_KEYS = {
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "bbox", "category_id", "neg_category_ids"),
}


@dataclass(frozen=True)
class Question:
    """One object in one image: its true caption and N false ones.

    ``image`` is a file name; ``box`` is where the object is: x, y, width, height in pixels.
    """

    image: str
    true: str
    false: tuple[str, ...]
    box: tuple[float, float, float, float]

    @property
    def captions(self) -> list[str]:
        """All captions [1 + N], the true one first."""
        return [self.true, *self.false]


def true_rank(scores: Tensor) -> Tensor:
    """Rank of the true caption, the first column of scores [Q, 1 + N]: int64 [Q], 1 is best.

    Ties count against it: a model that gives all captions the same score gets rank N + 1. ValueError where a score is NaN.
    """
    return own_rank(scores, torch.zeros(len(scores), dtype=torch.long))


def blind_weights(caption_embeds: Tensor, *, decay: float = 1e-3) -> Tensor:
    """An image-blind scorer: how well do captions alone, without an image, separate the true one from the false ones?

    ``caption_embeds`` [Q, 1 + N, D] are embeddings of the questions to learn from, the true caption first. Returns the direction
    [D] along which true captions lie above false ones, their scores being ``caption_embeds @ weights``: ridge regression of
    truth on the embeddings, relative to each question's mean, with ``decay`` relative to the mean squared embedding.
    """
    relative = (caption_embeds - caption_embeds.mean(1, keepdim=True)).double()
    truth = torch.full(relative.shape[:2], -1.0 / relative.shape[1], dtype=torch.double)
    truth[:, 0] += 1
    flat = relative.flatten(0, 1)
    gram = flat.T @ flat
    ridge = decay * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.double)
    return torch.linalg.solve(gram + ridge, flat.T @ truth.flatten()).to(caption_embeds.dtype)


def read_fg_ovd(path: str | Path) -> list[Question]:
    """The questions of an annotation file in the format of FG-OVD (Bianchi et al., arXiv 2311.17518).

    JSON in the style of COCO: ``images`` with id and file_name; ``categories`` with id and name, which is a caption;
    ``annotations`` with image_id, bbox, category_id of the true caption and neg_category_ids of the false ones. An annotation
    without false captions is skipped. FileNotFoundError and ValueError name the file and what is missing.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist: expected annotations in the format of FG-OVD") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not JSON: expected annotations in the format of FG-OVD") from error
    for section, keys in REQUIRED_KEYS.items():
        if not isinstance(content, dict) or not isinstance(content.get(section), list):
            raise ValueError(f"{path} has no list `{section}`: expected annotations in the format of FG-OVD")
        for row in content[section]:
            if missing := [key for key in keys if key not in row]:
                raise ValueError(f"{path}: an entry of `{section}` lacks {missing[0]}: {str(row)[:80]}")
    files = {image["id"]: image["file_name"] for image in content["images"]}
    captions = {category["id"]: category["name"] for category in content["categories"]}
    questions = []
    for row in content["annotations"]:
        unknown = [key for key in (row["category_id"], *row["neg_category_ids"]) if key not in captions]
        if unknown or row["image_id"] not in files:
            missing = f"category {unknown[0]}" if unknown else f"image {row['image_id']}"
            raise ValueError(f"{path}: an annotation names {missing}, which the file does not contain")
        if row["neg_category_ids"]:
            false = tuple(captions[key] for key in row["neg_category_ids"])
            questions.append(Question(files[row["image_id"]], captions[row["category_id"]], false, tuple(row["bbox"])))
    return questions
