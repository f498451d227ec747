"""Options that several subcommands have, and the objects that they describe."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# The keys of scoring.view_protocols.PROTOCOLS, which loads torch.
PROTOCOLS = ("half-crop", "squash", "views-8", "cube-6", "tangent-18", "robust-8", "canonical")
FORMS = (
    "a folder of JPEG, PNG or WebP with captions.csv, a .jsonl file, a .tar file or a folder of them (webdataset), or a"
    " Hugging Face dataset: saved to disk, or hf-hub:ORGANISATION/NAME[@REVISION][:SPLIT]"
)


def add_model_options(parser: argparse.ArgumentParser, *, required: bool, view: bool = True) -> None:
    """The options that name a model and say how it is used, under a chosen view or not; ``open_clip_of`` reads them."""
    add_source_options(parser, required=required)
    parser.add_argument("--adapter", help="folder that fine-tuning wrote, or LoRA adapters in PEFT's format")
    if view:
        parser.add_argument(
            "--view",
            default="squash",
            help="what the model receives of a panorama: own (its own transform), center_crop, squash, letterbox, wide or"
            " multi_view (default: %(default)s)",
        )
    parser.add_argument("--precision", default="float32", help="float32, bfloat16 or float16 (default: %(default)s)")
    parser.add_argument(
        "--resize", default="pil", help="pil, or tensor, which is faster and changes scores (default: %(default)s)"
    )
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--batch-size", type=int, default=64, help="images at a time (default: %(default)s)")


def add_source_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The options that name a model."""
    parser.add_argument(
        "--model", required=required, help="folder of a model, architecture of open_clip, or hf-hub:ORGANISATION/NAME"
    )
    parser.add_argument("--pretrained", help="for an architecture: a tag of open_clip or the path of a checkpoint")
    parser.add_argument("--revision", help="for a model of a hub: the commit of its repository")


def add_scoring_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what is scored besides the model."""
    parser.add_argument("--shifts", type=int, default=8, help="steps of a whole turn (default: %(default)s)")
    parser.add_argument(
        "--protocols",
        action="extend",
        type=names,
        metavar="NAME,...",
        help=f"view protocols, a column each: {', '.join(PROTOCOLS)} (default: half-crop,squash,robust-8)",
    )


def names(text: str) -> list[str]:
    """The names in a list that commas separate."""
    return [name for name in text.split(",") if name]


def separate_protocols(arguments: Sequence[str]) -> list[str]:
    """Arguments in which `--protocols A B FOLDER` is `--protocols=A,B FOLDER`: a folder after the names stays a folder.

    The option takes the words after it up to the next option, but no path that exists, unless it is the name of a protocol.

    >>> separate_protocols(["score", "--protocols", "squash", "cube-6", "--shifts", "4"])
    ['score', '--protocols=squash,cube-6', '--shifts', '4']
    """
    words, separated = list(arguments), []
    while words:
        word = words.pop(0)
        if word == "--protocols":
            names = []
            while words and not words[0].startswith("-") and (words[0] in PROTOCOLS or not Path(words[0]).exists()):
                names.append(words.pop(0))
            word = f"--protocols={','.join(names)}"
        separated.append(word)
    return separated


def add_inference_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``stats.inference.Inference``; ``inference_of`` reads them."""
    parser.add_argument("--alpha", type=float, default=0.01, help="level of tests and intervals (default: %(default)s)")
    parser.add_argument(
        "--resamples", type=int, default=2000, metavar="N", help="bootstrap resamples (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of resamples (default: %(default)s)")


def inference_of(options: argparse.Namespace):
    """The level of tests and intervals, the resamples and their seed, as ``Inference``; ValueError for impossible ones."""
    from clip360.stats.inference import Inference

    return Inference(options.alpha, options.resamples, options.seed)


def open_clip_of(options: argparse.Namespace, *, view: str | None = None):
    """The model that the options of ``add_model_options`` describe, as a ``Clip``, under another view mode if ``view`` is given."""
    from clip360.models.protocol import Protocol
    from clip360.models.weights import open_model

    protocol = Protocol(view=view or options.view, precision=options.precision, resize=options.resize)
    clip = open_model(
        options.model,
        pretrained=options.pretrained,
        revision=options.revision,
        protocol=protocol,
        device=options.device,
    )
    if options.adapter:
        from clip360.finetune.methods import load_finetuned  # loads peft, which few runs need

        clip = load_finetuned(clip, options.adapter)
    return clip


def activation_warning(options: argparse.Namespace) -> str | None:
    """A sentence where a folder's model computes another activation than its weights were trained with, as recorded there."""
    from clip360.models.weights import WeightSource, activation_mismatch, read_source

    folder = Path(options.model)
    source = read_source(folder) if folder.is_dir() else WeightSource(options.model, options.pretrained)
    mismatch = activation_mismatch(source) if source else None
    return mismatch.sentence if mismatch else None


def warn(sentence: str, strict: bool = False) -> None:
    """Print a warning on stderr; with ``strict``, raise it as ValueError."""
    if strict:
        raise ValueError(sentence)
    print(sentence, file=sys.stderr)
