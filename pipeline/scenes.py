"""The scenes that rendered pictures show, drawn again from their recipes in params.yaml."""

from itertools import islice

from clip360.data.image_set import ImageSet
from clip360.world.scene import Scene, sample_scenes


def draw_scenes(recipe: dict, count: int) -> list[Scene]:
    """The first scenes of a recipe: its keys seed, split, where."""
    return list(islice(sample_scenes(recipe["seed"], recipe["split"], where=recipe["where"]), count))


def read_scenes(params: dict, pictures: ImageSet) -> list[Scene] | None:
    """The scene of each picture of a set that `crop_or_model.scenes` names; None of other pictures."""
    recipe = params["crop_or_model"]["scenes"].get(pictures.name)
    return draw_scenes(recipe, len(pictures.table)) if recipe else None
