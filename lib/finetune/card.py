"""The model card of an adapter."""

CARD = """---
library_name: peft
base_model: {model}
tags: [lora, clip, 360-degree panoramas]
---

# {name}

LoRA adapters on the image tower of the CLIP model `{model}`, trained to give a 360-degree panorama and its circular shifts
the same CLIP score (arXiv 2604.24642). The text tower is the base model's.

| | |
|:--|:--|
{rows}

Modules adapted: with `attention`, all projections of attention and MLP, where the attention's projections are separate modules
(`lib/finetune/attention.py`); with `released`, those of the paper's script. Load it with `lib.finetune.lora.load_adapter`.
"""


def model_card(name: str, *, run: dict, finetune: dict, images: int, metrics: dict[str, float]) -> str:
    """README.md of an adapter: base model, data, λ, how it was trained, and the last step's losses."""
    facts = {
        "base model": run["model"],
        "data": f"{images} panoramas of `{finetune['image_set']}`",
        "targets": run["targets"],
        "λ": run["weight"],
        "shifts drawn, as shares of the width": f"{run['shifts'][0]:g} to {run['shifts'][1]:g}",
        **finetune["adapter"],
        **{f"training: {key}": value for key, value in finetune["optimisation"].items()},
        **{f"last step: {key}": f"{metrics[key]:.4g}" for key in ("loss", "consistency", "anchor", "gradient_norm")},
    }
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    return CARD.format(name=name, model=run["model"], rows=rows)
