"""Render the pictures, and write the texts, that the embedded CLIPs are trained and tested on.

    python -m stages.render_pool

Writes results/PROFILE/pool/: NAME.safetensors (uint8 images [N, 3, H, W]) and NAME.csv (texts) for the training views, the
training panoramas and the held-out views, and labels.csv (what can be asked of the held-out views).
"""

from pathlib import Path

from safetensors.torch import save_file

from lib.world.pool import label, photograph, write_texts
from stages.parameters import read_params


def main() -> None:
    params = read_params()
    pool, folder = params["pool"], Path("results", params["profile"], "pool")
    folder.mkdir(parents=True, exist_ok=True)
    for name, split, cues in (
        ("views", "train", pool["generic_cues"]),
        ("panoramas", "train", pool["format_cues"]),
        ("held_out", "validation", pool["generic_cues"]),
    ):
        pictures = photograph(
            name, split=split, seed=pool["seed"], count=pool[name], size=pool["size"], wide=name == "panoramas"
        )
        save_file({"images": pictures.images}, folder / f"{name}.safetensors")
        texts = write_texts(name, pictures, cues=cues, wordings=pool["wordings"], seed=pool["seed"])
        texts.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        if name == "held_out":
            label(pictures).to_csv(folder / "labels.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
