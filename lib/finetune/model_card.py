"""The model card of a fine-tuned model."""

from collections.abc import Mapping

from clip360.finetune.files import ADAPTER_CONFIG, METHOD_FILE
from clip360.finetune.methods import find_method

CARD = """---
base_model: {model}
tags: [clip, 360-degree panoramas]
---

# {name}

The CLIP model `{model}`, fine-tuned by the method `{method}` (`lib/finetune/methods.py`) to embed a 360-degree panorama and its
circular shifts alike. This folder holds only what was trained, {trains}: {files}. `{method_file}` says how. Load it onto its base
model with `clip360.finetune.methods.load_finetuned`.

| | |
|:--|:--|
{rows}
"""


def model_card(
    name: str,
    *,
    model: str,
    method: str,
    lam: float,
    shift_range: tuple[float, float],
    view: str | None = None,
    image_set: str,
    n_images: int,
    lora: Mapping,
    optimisation: Mapping,
    metrics: Mapping[str, float],
) -> str:
    """README.md of the fine-tuned model ``name``: base model, files, data, settings, and the losses of the last step.

    ``view`` None means that of the protocol; ``metrics`` are the numbers that the last step logged.
    """
    adaptation = find_method(method)
    if adaptation.is_lora:
        files = f"`{adaptation.weights_file}` and `{ADAPTER_CONFIG}`, in PEFT's format"
    else:
        files = f"`{adaptation.weights_file}`, tensors by parameter name (not in PEFT's format)"
    rows = settings_rows(
        method,
        lam=lam,
        shift_range=shift_range,
        view=view,
        image_set=image_set,
        n_images=n_images,
        lora=lora,
        optimisation=optimisation,
        metrics=metrics,
    )
    return CARD.format(
        name=name,
        model=model,
        method=method,
        trains=adaptation.trains,
        files=files,
        method_file=METHOD_FILE,
        rows=rows,
    )


def settings_rows(
    method: str,
    *,
    lam: float,
    shift_range: tuple[float, float],
    view: str | None,
    image_set: str,
    n_images: int,
    lora: Mapping,
    optimisation: Mapping,
    metrics: Mapping[str, float],
) -> str:
    """How a model was trained, as the rows of a Markdown table; the arguments are those of ``model_card``."""
    facts = {
        "data": f"{n_images} panoramas of `{image_set}`",
        "λ": lam,
        "range of shifts, as fractions of the width": f"{shift_range[0]:g} to {shift_range[1]:g}",
        "view of a panorama": view or "as in the protocol",
        **(
            {f"LoRA: {key}": lora[key] for key in ("rank", "alpha", "dropout")} if find_method(method).uses_lora else {}
        ),
        "seed of new weights": lora["seed"],
        **{f"training: {key}": value for key, value in optimisation.items()},
        **{f"last step: {key}": f"{value:.4g}" for key, value in metrics.items() if key != "step"},
    }
    return "\n".join(f"| {key} | {value} |" for key, value in facts.items())
