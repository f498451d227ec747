"""The model card of a fine-tuned model."""

CARD = """---
base_model: {model}
tags: [clip, 360-degree panoramas]
---

# {name}

The CLIP model `{model}`, fine-tuned by the strategy `{strategy}` (`lib/finetune/strategies.py`) to see a 360-degree panorama and
its circular shifts alike. This folder holds only what was trained, LoRA adapters in PEFT's format. Load it onto its base model
with `clip360.finetune.methods.load_tuned`.

| | |
|:--|:--|
{rows}
"""


def model_card(name: str, *, run: dict, finetune: dict, images: int, metrics: dict[str, float]) -> str:
    """README.md of a fine-tuned model: base model, data, how it was trained, and the last step's losses."""
    facts = {
        "data": f"{images} panoramas of `{finetune['image_set']}`",
        "λ": run["weight"],
        "shifts drawn, as shares of the width": f"{run['shifts'][0]:g} to {run['shifts'][1]:g}",
        "view of a panorama": run.get("view", "as the protocol says"),
        **finetune["adapter"],
        **{f"training: {key}": value for key, value in finetune["optimisation"].items()},
        **{f"last step: {key}": f"{value:.4g}" for key, value in metrics.items() if key != "step"},
    }
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    return CARD.format(name=name, model=run["model"], strategy=run["strategy"], rows=rows)
