"""What the counts of all stages share: the parameters, the image sets, the models and their costs."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from clip360.models.protocol import read_protocol
from pipeline.parameters import Parameters
from pipeline.plan.image_sets import Assumed, PlannedSets
from pipeline.plan.models import PlannedModels
from pipeline.plan.rehearsal import Rehearsal
from pipeline.plan.work import Work

T = TypeVar("T")
TEXT_BATCH = 256  # of clip360.scoring.embedding.embed_texts
SAMPLE = 2  # panoramas that a function is rehearsed on where its work is proportional to their number


class Context:
    """The parameters of a plan with its image sets and models."""

    def __init__(self, params: Parameters, assumed: Assumed):
        self.params = params
        self.sets, self.models = PlannedSets(params, assumed), PlannedModels(params)
        self._found: dict[Hashable, Any] = {}

    def once(self, key: Hashable, count: Callable[[], T]) -> T:
        """What ``count`` returns, which is called at the first use of ``key``."""
        if key not in self._found:
            self._found[key] = count()
        return self._found[key]

    def alike(self, item: str) -> Hashable:
        """What the work for a model or a run depends on, so that equal work is counted once; any other name itself."""
        if item in self.params.models:
            return self.models.key(item)
        if run := self.params.runs.get(item):
            return self.models.key(run.model), run.model_dump_json(exclude={"model", "lam", "lr", "shift_range"})
        return item

    def rehearsal(self, model: str, *, keeps_texts: bool = False, canonical_yaw: bool = False, **changes) -> Rehearsal:
        """A model that counts, in place of ``model`` under the protocol with ``changes``."""
        protocol = read_protocol(self.params.protocol.model_dump() | changes)
        view = self.models.view(model, protocol.view)
        size = self.models.network(model).input_size
        return Rehearsal(protocol, view=view, size=size, canonical_yaw=canonical_yaw, keeps_texts=keeps_texts)

    def costed(self, work: Work, model: str, view: str | None = None) -> Work:
        """The work with the floating-point operations and the memory that it needs by the network of ``model``."""
        view = self.models.view(model, view)
        network = self.models.network(model, view)
        by_tower = work.image_passes * network.image_flops + work.text_passes * network.text_flops
        passes = work.image_passes + work.text_passes
        return replace(
            work, flops=by_tower, pass_flops=by_tower / passes if passes else 0, memory=self.memory(model, view)
        )

    def memory(self, model: str, view: str) -> float:
        """Bytes that a stage needs on its device to embed by ``model``."""
        n_images = self.params.compute.batch_size * (self.params.protocol.n_views if view == "multi_view" else 1)
        key = ("memory", self.models.key(model), view)
        return self.once(key, lambda: self.models.network(model, view).memory(n_images, TEXT_BATCH))
