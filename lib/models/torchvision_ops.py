"""Lets torchvision, and with it open_clip, be imported next to a CPU build of torch.

PyPI's torchvision wheels are compiled for a CUDA build of torch. Next to a CPU build their compiled operators do not load,
and `import torchvision` fails where its Python code refers to them ("operator torchvision::nms does not exist"). This
package uses only torchvision's image transforms, which need no compiled operator, so it is enough to declare the operators.

`clip360.models` and `clip360.scoring` import this module first. After either of them, `import open_clip` and
`import torchvision` work in the same process.
"""

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

if torch.version.cuda is None:
    _LIBRARY = torch.library.Library("torchvision", "FRAGMENT")  # the declarations last as long as this object
    for schema in _SCHEMAS:
        _LIBRARY.define(schema)
