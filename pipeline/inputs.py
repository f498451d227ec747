"""What the scoring stages share: the model and the image set that a stage's arguments name."""

import sys
from pathlib import Path

from clip360.data.image_set import ImageSet, load_image_set, printable
from clip360.models.clip import Clip, load_clip
from clip360.models.protocol import read_protocol
from clip360.scoring.embedding import truncated
from pipeline.parameters import Parameters


def read_model(params: Parameters, model: str, **changes) -> Clip:
    """The model ``model`` of `models`, used as `protocol` with ``changes`` says, on the device of `compute`.

    ValueError where params.yaml does not list the model.
    """
    if model not in params.models:
        raise ValueError(f"params.yaml has no model {model}: choose one of {', '.join(params.models)}")
    folder = params.results / "models" / model
    protocol = read_protocol(params.protocol.model_dump() | changes)
    return load_clip(folder, protocol=protocol, device=params.compute.device)


def load_probe_set(params: Parameters, name: str, *, pairing: str | None = None) -> ImageSet:
    """The image set ``name`` of `image_sets`, its images and captions paired by ``pairing`` (None: as `protocol.pairing` says).

    ValueError where params.yaml does not list the set.
    """
    if name not in params.image_sets:
        raise ValueError(f"params.yaml has no image set {name}: choose one of {', '.join(params.image_sets)}")
    return load_image_set(Path(params.data, name), pairing=pairing or params.protocol.pairing)


def load_finetuning_set(params: Parameters, folder: str) -> ImageSet:
    """A set of panoramas for fine-tuning, its images and captions paired as the protocol says.

    Where it says ``order``, only files that end in .jpg count, as in the released training of arXiv 2604.24642. The probes'
    scripts count other images too.
    """
    pairing = params.protocol.pairing
    return load_image_set(folder, pairing=pairing, suffix=".jpg" if pairing == "order" else "")


def read_image_set(params: Parameters, name: str, clip: Clip) -> ImageSet:
    """The image set ``name``, paired as the protocol of ``clip`` says; reports texts that are too long for the model on stderr.

    ValueError where params.yaml does not list the set or the set has no format cues.
    """
    image_set = load_probe_set(params, name, pairing=clip.protocol.pairing)
    if "cue" not in image_set.table:
        raise ValueError(
            f"{image_set.folder / 'captions.csv'} has no column cue: add one with the format of each image"
        )
    if clip.protocol.long_texts == "report" and (long := truncated(clip, image_set.texts)):
        print(
            f"{clip.name} reads only the beginning of {len(long)} texts of {name}, such as: {printable(long[0])}",
            file=sys.stderr,
        )
    return image_set
