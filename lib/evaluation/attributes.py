"""Fine-grained attributes: one true caption against others that differ in an attribute (FG-OVD; arXiv 2404.03539)."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from clip360.evaluation.retrieval import own_rank

KEYS = {
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "bbox", "category_id", "neg_category_ids"),
}


@dataclass(frozen=True)
class Question:
    """One thing in one picture: its true caption, and N false ones.

    ``picture`` is a file or the row of a set; ``box`` (x, y, width, height in pixels) is where the thing is, if it is known.
    """

    picture: str | int
    true: str
    false: tuple[str, ...]
    box: tuple[float, float, float, float] | None = None

    @property
    def captions(self) -> list[str]:
        """The true caption first."""
        return [self.true, *self.false]


def true_rank(scores: Tensor) -> Tensor:
    """Rank [Q] of the true caption, the first of scores [Q, 1 + N], ties against: a scorer that cannot tell gets N + 1."""
    return own_rank(scores, torch.zeros(len(scores), dtype=torch.long))


def chance_rank(false: int) -> float:
    """Mean rank of the true caption among ``false`` others by guessing, (N + 2) / 2.

    >>> chance_rank(10), chance_rank(2)
    (6.0, 2.0)
    """
    return (false + 2) / 2


def blind_weights(captions: Tensor, *, decay: float = 1e-3) -> Tensor:
    """A scorer of captions alone, without a picture: how much does the text give away?

    ``captions`` [Q, 1 + N, D] are embeddings of questions to learn from, the true one first. Returns the direction [D] along
    which true captions lie above false ones, ``captions @ weights`` being their scores: ridge regression of truth on the
    embeddings, relative to each question's mean.
    """
    relative = (captions - captions.mean(1, keepdim=True)).double()
    truth = torch.full(relative.shape[:2], -1.0 / relative.shape[1], dtype=torch.double)
    truth[:, 0] += 1
    flat = relative.flatten(0, 1)
    gram = flat.T @ flat
    ridge = decay * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.double)
    return torch.linalg.solve(gram + ridge, flat.T @ truth.flatten()).to(captions.dtype)


def read_fg_ovd(path: str | Path) -> list[Question]:
    """The questions of an annotation file in the format of FG-OVD (Bianchi et al., arXiv 2311.17518).

    JSON like that of COCO: ``images`` with id and file_name; ``categories`` with id and name, which is a caption;
    ``annotations`` with image_id, bbox, category_id of the true caption and neg_category_ids of the false ones. An annotation
    without false captions asks nothing and is left out. Errors name the file and what is missing.
    """
    path = Path(path)
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist: expected annotations in the format of FG-OVD") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no JSON: expected annotations in the format of FG-OVD") from error
    for section, keys in KEYS.items():
        if not isinstance(read, dict) or not isinstance(read.get(section), list):
            raise ValueError(f"{path} has no list `{section}`: expected annotations in the format of FG-OVD")
        for row in read[section]:
            if missing := [key for key in keys if key not in row]:
                raise ValueError(f"{path}: an entry of `{section}` lacks {missing[0]}: {str(row)[:80]}")
    files = {image["id"]: image["file_name"] for image in read["images"]}
    names = {category["id"]: category["name"] for category in read["categories"]}
    questions = []
    for row in read["annotations"]:
        unknown = [key for key in (row["category_id"], *row["neg_category_ids"]) if key not in names]
        if unknown or row["image_id"] not in files:
            what = f"category {unknown[0]}" if unknown else f"image {row['image_id']}"
            raise ValueError(f"{path}: an annotation names {what}, which the file does not hold")
        if row["neg_category_ids"]:
            false = tuple(names[key] for key in row["neg_category_ids"])
            questions.append(Question(files[row["image_id"]], names[row["category_id"]], false, tuple(row["bbox"])))
    return questions
