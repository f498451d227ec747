"""The networks of a profile, trained or fetched, without their weights."""

import json
from pathlib import Path

import clip360.models  # noqa: F401  before open_clip, which imports torchvision

# isort: split
import open_clip
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transform import merge_preprocess_dict

from clip360.models.clip import CONFIGURATION, read_configuration
from clip360.models.protocol import RESIZE_MODES
from clip360.models.weights import HUB
from pipeline.parameters import Parameters, WeightSource
from pipeline.plan.networks import Network


class PlannedModels:
    """The architectures of the models of a profile, by name."""

    def __init__(self, params: Parameters):
        self.params = params
        self._networks: dict[tuple[str, bool], Network] = {}

    def network(self, model: str, view: str = "own") -> Network:
        """The network of a model under a view mode; models of one architecture share it."""
        key = (self.key(model), view == "wide")
        if key not in self._networks:
            self._networks[key] = Network(model, self.configuration(model)[0], wide=view == "wide")
        return self._networks[key]

    def key(self, model: str) -> str:
        """What the work by a model depends on: its architecture, in which the activation costs nothing, and its transform."""
        architecture, preprocess = self.configuration(model)
        return json.dumps([architecture | {"quick_gelu": None}, preprocess], sort_keys=True)

    def view(self, model: str, view: str | None = None) -> str:
        """The view mode of a model: ``view``, by default the protocol's, with ``own`` resolved as the model's transform says."""
        view = view or self.params.protocol.view
        if view != "own":
            return view
        mode = self.configuration(model)[1].get("resize_mode", "shortest")
        return next(name for name, resize_mode in RESIZE_MODES.items() if resize_mode == mode)

    def configuration(self, model: str) -> tuple[dict, dict]:
        """The architecture of a model and its image transform; ValueError where nothing on this machine says what they are."""
        params = self.params
        if model in params.pretraining.models:
            return params.pretraining.architecture.model_dump(), {}
        folder = params.results / "models" / model
        if (folder / CONFIGURATION).is_file():
            stored = read_configuration(folder)
            return stored["model_cfg"], stored["preprocess_cfg"]
        return _listed(model, params.weights[model])


def _listed(model: str, source: WeightSource) -> tuple[dict, dict]:
    name = source.architecture
    if name.startswith(HUB):
        raise ValueError(
            f"weights.{model} is {name}, whose architecture is not on this machine: run `dvc repro fetch@{model}` first"
        )
    if name.endswith(".json"):
        if not Path(name).is_file():
            raise ValueError(f"weights.{model}.architecture names {name}, which does not exist: put it there")
        stored = json.loads(Path(name).read_text(encoding="utf-8"))
        return stored.get("model_cfg", stored), stored.get("preprocess_cfg", {})
    tag = get_pretrained_cfg(name, source.pretrained) if source.pretrained else {}
    return open_clip.get_model_config(name), merge_preprocess_dict({}, tag)
