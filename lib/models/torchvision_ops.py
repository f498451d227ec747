"""Lets torchvision be imported beside a CPU build of torch. `clip360.models` imports this first.

torchvision's wheels on PyPI are compiled for a CUDA build of torch. Beside a CPU build their compiled operators do not
load, and the import fails where Python code refers to them. Only torchvision's image transforms are used here, which
need no compiled operator: it is enough to declare that the operators exist.
"""

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

if torch.version.cuda is None:
    _LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        _LIBRARY.define(schema)
