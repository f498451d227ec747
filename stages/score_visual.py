"""Score one image set by one model under circular shifts and mirrored, the captions fixed.

    python -m stages.score_visual MODEL IMAGE_SET

Writes results/PROFILE/scores/visual/MODEL__IMAGE_SET.parquet.
"""

import sys
from pathlib import Path

from lib.embedding import embed_images, embed_texts
from lib.shifts import curve, shift_scores, shift_views
from stages.inputs import read_image_set, read_model
from stages.parameters import read_params, tell


def main(model: str, image_set: str) -> None:
    params = read_params()
    probe = params["visual_probe"]
    clip = read_model(params, model)
    pictures = read_image_set(params, image_set, clip)
    total = len(pictures.table)
    views = shift_views(curve(probe["curve"]), copies=clip.protocol.copies)
    embeddings = embed_images(clip, pictures.batches(params["compute"]["batch"]), views, total=total)
    texts = embed_texts(clip, pictures.texts)
    scores = shift_scores(clip, pictures.table, embeddings, texts, image_set=image_set)
    path = Path("results", params["profile"], "scores", "visual", f"{model}__{image_set}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    scores.to_parquet(path, index=False)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])
