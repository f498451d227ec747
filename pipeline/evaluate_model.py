"""Evaluate a model: its trade-off between stability and capability, and each capability.

    python -m pipeline.evaluate_model RUN                    a fine-tuned model
    python -m pipeline.evaluate_model --frozen MODEL         a frozen model
    python -m pipeline.evaluate_model --training-free MODEL  a frozen model with all its methods that need no training: the trade-off

Reads results/PROFILE/models/MODEL (and results/PROFILE/finetuned/STUDY/RUN), the image sets, the set that models are fine-tuned on, and
results/PROFILE/viewpoints. Writes results/PROFILE/measurements/STUDY/NAME.parquet and .../capabilities/NAME.parquet, NAME being RUN,
MODEL or MODEL_training_free. STUDY is `tradeoff`, but `adaptation` for runs of `adaptation.runs` and for what needs no training. For a frozen
model also results/PROFILE/text_embeddings/MODEL.safetensors, its embeddings of all texts, which runs from that model read unless they
train the text tower. The capabilities of a run with a view of its own include those of the frozen model under that view, under the name
"MODEL, VIEW": what the run is compared with.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from clip360.finetune.methods import find_method
from clip360.models.clip import Clip
from pipeline.capabilities import evaluate_capabilities
from pipeline.error_messages import report
from pipeline.finetuned import protocol_changes, read_finetuned, read_run, study_of
from pipeline.inputs import read_model
from pipeline.outputs import read_text_embeddings, write_measurements, write_text_embeddings
from pipeline.parameters import Parameters, read_params
from pipeline.tradeoff import measure_tradeoff, measure_training_free


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluate_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "run", metavar="RUN", nargs="?", help="a key of finetune.runs or adaptation.runs in params.yaml"
    )
    target.add_argument("--frozen", metavar="MODEL", help="one of `models` in params.yaml")
    target.add_argument("--training-free", metavar="MODEL", help="a key of adaptation.training_free in params.yaml")
    options, params = parser.parse_args(arguments), read_params()
    if model := options.training_free:
        write_measurements(list(measure_training_free(params, model)), params, "adaptation", f"{model}_training_free")
    elif model := options.frozen:
        clip = replace(read_model(params, model), text_cache={})
        evaluate(params, clip, model, "tradeoff")
        write_text_embeddings(clip.text_cache, params, model)
    else:
        run = options.run
        clip = replace(read_finetuned(params, run), text_cache=text_cache_of(params, run))
        evaluate(params, clip, run, study_of(params, run), *references(params, run))


def evaluate(params: Parameters, clip: Clip, name: str, study: str, *others: Clip) -> None:
    """Write both tables of one model under ``name``, the trade-off for ``study``; the table of capabilities has those of ``others`` too."""
    write_measurements(list(measure_tradeoff(params, clip, {name: 1})), params, study, name)
    parts = [part for one in (replace(clip, name=name), *others) for part in evaluate_capabilities(params, one)]
    write_measurements(parts, params, "capabilities", name)


def references(params: Parameters, name: str) -> Iterator[Clip]:
    """The frozen model under the view of the run ``name``, where it differs from the protocol's."""
    run = read_run(params, name)
    if run.view not in (None, params.protocol.view):
        clip = read_model(params, run.model, **protocol_changes(run.view))
        yield replace(clip, name=f"{run.model}, {run.view}", text_cache=read_text_embeddings(params, run.model))


def text_cache_of(params: Parameters, name: str) -> dict[str, Tensor]:
    """The frozen model's text embeddings, which hold for the run ``name`` too; none where the run trains the text tower."""
    run = read_run(params, name)
    return {} if find_method(run.method).trains_text else read_text_embeddings(params, run.model)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
