"""What is known of the scenes behind images: of rendered ones everything, drawn again from the recipes in params.yaml; of others a category."""

from itertools import islice
from pathlib import Path

from clip360.data.captions import read_captions
from clip360.data.image_set import ImageSet
from clip360.evaluation.pretraining_evaluation import scene_category_phrases
from clip360.world.scene import Scene, sample_scenes
from pipeline.parameters import Parameters, RenderedScenes, RenderedSet


def draw_scenes(recipe: RenderedSet | RenderedScenes, n_images: int) -> list[Scene]:
    """The first ``n_images`` scenes of a recipe, one per image."""
    return list(islice(sample_scenes(recipe.seed, recipe.split, environment=recipe.environment), n_images))


def read_scenes(params: Parameters, image_set: ImageSet) -> list[Scene] | None:
    """The scene of each image of a set that ``crop_or_model.scenes`` names; None for any other set."""
    recipe = params.crop_or_model.scenes.get(image_set.name)
    return draw_scenes(recipe, len(image_set.table)) if recipe else None


def read_categories(params: Parameters, image_set: ImageSet) -> list[str] | None:
    """The scene category of each image: of its scene, or as the column ``category`` says; None where neither is known."""
    if scenes := read_scenes(params, image_set):
        return [scene.category for scene in scenes]
    return image_set.table.category.tolist() if "category" in image_set.table else None


def category_phrases(params: Parameters, image_set: ImageSet) -> dict[str, str]:
    """The categories that the images of a set are told apart by, each with its words in a prompt.

    Where the scenes are known, all of the rendered world; else those of the columns ``category`` of all image sets, so that guessing
    is equally hard in each.
    """
    if image_set.name in params.crop_or_model.scenes or "category" not in image_set.table:
        return scene_category_phrases()
    tables = [Path(params.data, name, "captions.csv") for name in params.image_sets]
    tables.append(Path(params.finetune.image_set, "captions.csv"))
    found = [read_captions(path) for path in tables if path.is_file()]
    return {name: name for name in sorted({name for table in found for name in table.get("category", ())})}
