"""The scenes behind rendered images, drawn again from their recipes in params.yaml."""

from itertools import islice

from clip360.data.image_set import ImageSet
from clip360.world.scene import Scene, sample_scenes
from pipeline.parameters import Parameters, RenderedScenes, RenderedSet


def draw_scenes(recipe: RenderedSet | RenderedScenes, n_images: int) -> list[Scene]:
    """The first ``n_images`` scenes of a recipe, one per image."""
    return list(islice(sample_scenes(recipe.seed, recipe.split, environment=recipe.environment), n_images))


def read_scenes(params: Parameters, image_set: ImageSet) -> list[Scene] | None:
    """The scene of each image of a set that ``crop_or_model.scenes`` names; None for any other set."""
    recipe = params.crop_or_model.scenes.get(image_set.name)
    return draw_scenes(recipe, len(image_set.table)) if recipe else None
