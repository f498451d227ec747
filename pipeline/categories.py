"""The scene categories that images are classified by: of rendered scenes, or of the column ``category`` of a set of photographs."""

from pathlib import Path

from clip360.data.captions import read_captions
from clip360.data.image_set import ImageSet
from clip360.evaluation.pretraining_evaluation import scene_category_phrases
from pipeline.parameters import Parameters
from pipeline.scenes import read_scenes


def read_categories(params: Parameters, image_set: ImageSet) -> list[str] | None:
    """The category of each image: of its scene, or as the column ``category`` says; None where neither is known."""
    if scenes := read_scenes(params, image_set):
        return [scene.category for scene in scenes]
    return image_set.table.category.tolist() if "category" in image_set.table else None


def category_phrases(params: Parameters, image_set: ImageSet) -> dict[str, str]:
    """The categories that the images of a set are told apart by, each with its words in a prompt.

    Those of the rendered world; where a set has the column ``category``, those of this column in all sets that models are probed on, so
    that guessing is equally hard in each, and in its own.
    """
    if image_set.name in params.crop_or_model.scenes or "category" not in image_set.table:
        return scene_category_phrases()
    probed = [read_captions(Path(params.data, name, "captions.csv")) for name in params.image_sets]
    categories = {name for table in (image_set.table, *probed) for name in table.get("category", ())}
    return {name: name for name in sorted(categories)}
