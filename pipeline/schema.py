"""What params.yaml may hold: every parameter, its kind and its range. What each means is said in params.yaml itself.

A key that ends in `?` may be left out. Names that other modules define are repeated, since those need torch, and compared in
tests/test_params.py.
"""

from typing import Any

from pipeline.kinds import NAME, SWITCH, Many, Named, Value, number, one_of, or_null, text, whole, within


def _are_two(value: Value, x: Any) -> bool:
    return isinstance(x, list) and len(x) == 2 and all(map(value.right, x))


VIEWS = ("own", "center_crop", "squash", "letterbox", "wide", "multi_view")
STRATEGIES = ("released", "attention", "positions", "last_block", "image_tower", "text_tower", "both_towers")
STRATEGIES += ("omniview", "omniview_moved", "omniview_all_views", "omniview_panoramas_only")
STRATEGIES += ("linear_head", "mlp_head", "image_head", "text_head", "distilled", "distilled_tower")

WORDS = text("a few words")
FOLDER = text("the name of a folder, of letters, digits, _, - and .", r"\w[\w.-]{0,79}")
OUTPUT = text("a folder within the repository, of letters, digits, _, -, . and /", r"(?!.*\.\.)\w[\w./-]*")
PATH = text("the path of a file or folder")

SEED = whole(0, 2**32 - 1)
COUNT = whole(1, 1_000_000)
PIXELS = whole(1, 16_384)
LAYERS = whole(1, 1000)
WIDTH = whole(1, 65_536)
RATE = within(0, 1)
SHARE = number(0, 1)
QUALITY = whole(1, 100)
DEGREES = number(-180, 180)
ANGLE = within(0, 180)
SHIFTS = whole(2, 1000)
TWO_SHARES = Value(
    "[low, high], two shares of the width with 0 <= low < high <= 1", lambda x: _are_two(SHARE, x) and x[0] < x[1]
)
TWO_RATES = Value("two numbers between 0 and 1", lambda x: _are_two(RATE, x))
WHERE = or_null(one_of("indoor", "outdoor"))
SPLIT = one_of("train", "finetune", "validation", "probe")
RESAMPLING = {"seed": SEED, "draws": COUNT}

PROTOCOL = {
    "view": one_of(*VIEWS),
    "view_count": whole(1, 64),
    "view_fov": ANGLE,
    "resize": one_of("pil", "tensor"),
    "activation": one_of("own", "gelu", "quick_gelu"),
    "precision": one_of("float32", "bfloat16", "float16"),
    "floor": SWITCH,
    "decimals": or_null(whole(0, 12)),
    "copies": or_null(QUALITY),
    "pairing": one_of("name", "order"),
    "long_texts": one_of("report", "silent"),
}

SCHEMA = {
    "profile": NAME,
    "figures": OUTPUT,
    "image_sets": Many(FOLDER, least=1),
    "data": PATH,
    "probe_sets": {"seed": SEED, "count": COUNT, "height": PIXELS, "where": Named(WHERE), "cues": Many(WORDS, least=1)},
    "rendered_sets": Named(
        {"split": SPLIT, "where": WHERE, "seed": SEED, "count": COUNT, "height": PIXELS, "moved?": number(0, 1)}
    ),
    "models": Many(NAME, least=1),
    "weights": Named(
        {
            "architecture": WORDS,
            "pretrained?": PATH,
            "revision?": text("a commit, 40 hexadecimal digits", "[0-9a-f]{40}"),
            "sha256?": text("64 hexadecimal digits", "[0-9a-f]{64}"),
        }
    ),
    "protocol": PROTOCOL,
    "compute": {
        "device": or_null(text("cpu, cuda or cuda:NUMBER", r"cpu|cuda(:\d{1,3})?")),
        "threads": or_null(whole(1, 1024)),
        "batch": COUNT,
    },
    "pools": {
        "pool?": {
            "seed": SEED,
            "views": COUNT,
            "panoramas": COUNT,
            "held_out": COUNT,
            "size": PIXELS,
            "wordings": COUNT,
            "format_cues": Many(WORDS, least=1),
            "generic_cues": Many(WORDS, least=1),
        }
    },
    "pretrain": {
        "share": Named(SHARE),
        "pictures": COUNT,
        "architecture": {
            "embed_dim": WIDTH,
            "vision_cfg": {
                "image_size": PIXELS,
                "patch_size": PIXELS,
                "layers": LAYERS,
                "width": WIDTH,
                "head_width": WIDTH,
            },
            "text_cfg": {
                "context_length": whole(3, 10_000),
                "vocab_size": whole(49_408, 1_000_000),  # of CLIP's tokenizer
                "layers": LAYERS,
                "width": WIDTH,
                "heads": WIDTH,
            },
        },
        "optimisation": {
            "steps": COUNT,
            "batch": COUNT,
            "peak": RATE,
            "warmup": whole(0, 1_000_000),
            "weight_decay": number(0, 10),
            "precision": one_of("float32", "bfloat16"),
            "seed": SEED,
        },
    },
    "textual_probe": {
        "generic": Many(WORDS, least=1),
        "alpha": RATE,
        "bootstrap": RESAMPLING,
        "control": {"yaw": DEGREES, "pitch": number(-90, 90), "fov": ANGLE, "size": PIXELS},
    },
    "visual_probe": {"tested": SHIFTS, "curve": SHIFTS, "alpha": RATE, "bootstrap": RESAMPLING},
    "finetune": {
        "image_set": PATH,
        "validation": whole(0, 1_000_000),
        "moved": PATH,
        "views": SHIFTS,
        "worst": whole(1, 1000),
        "photographs": {"cue": WORDS, "fov": ANGLE},
        "adapter": {"rank": whole(1, 4096), "alpha": within(0, 10_000), "dropout": number(0, 0.99), "seed": SEED},
        "optimisation": {
            "epochs": COUNT,
            "batch": COUNT,
            "rate": RATE,
            "weight_decay": number(0, 10),
            "clip_norm": within(0, 1000),
            "seed": SEED,
        },
        "runs": Named(
            {
                "model": NAME,
                "strategy": one_of(*STRATEGIES),
                "weight": SHARE,
                "shifts": TWO_SHARES,
                "rate?": RATE,
                "view?": one_of(*VIEWS[:-1]),  # multi_view is no single picture, as training needs one
            }
        ),
        "untrained": Named(
            Named(
                {
                    "model": NAME,
                    "strategy": text(
                        "average_NUMBER, one pass, multi_view or circular positions, with what words follow",
                        r"(average_\d|one pass|multi_view|circular).*",
                    ),
                    "view?": one_of(*VIEWS),
                    "turns?": whole(1, 1000),
                    "positions?": one_of("own", "circular", "rows"),
                }
            )
        ),
    },
    "roads": {"base": Many(NAME, most=1), "tolerance": SHARE, "worlds": Many(NAME)},
    "hazards": {
        "models": Many(NAME, least=1),
        "images": COUNT,
        "variants": Named({f"{name}?": value for name, value in PROTOCOL.items()}),
    },
    "crop_or_model": {
        "images": COUNT,
        "views": Many(one_of(*VIEWS), least=1),
        "steps": SHIFTS,
        "turns": SHIFTS,
        "controls": {"small_shift": within(0, 1), "jpeg": QUALITY, "resampled": within(0, 1)},
        "yaw": DEGREES,
        "scenes": Named({"split": SPLIT, "where": WHERE, "seed": SEED, "height": PIXELS}),
        "columns": whole(2, 16_384),
        "inside": {"models": Many(NAME, least=1), "views": Many(one_of(*VIEWS), least=1), "images": COUNT},
        "alpha": RATE,
        "bootstrap": RESAMPLING,
    },
    "sweeps": {"shares?": {"worlds": Many(NAME, least=1), "share": Named(SHARE)}},
    "abilities": {
        "images": or_null(COUNT),
        "captions": COUNT,
        "crop": {"pitch": number(-90, 90), "fov": ANGLE, "size": PIXELS},
        "seed": SEED,
        "viewpoints": {"images": COUNT, "height": PIXELS, "distances": Many(within(0, 2), least=1)},
        "matching": {"validation": COUNT, "epochs": COUNT, "batch": COUNT, "rates": TWO_RATES, "seed": SEED},
        "matched": Many(NAME),
        "blind": COUNT,
        "bootstrap": RESAMPLING,
    },
    "own_images": {
        "images": PATH,
        "model": PATH,
        "adapter": or_null(PATH),
        "view": one_of(*VIEWS),
        "shifts": SHIFTS,
        "count": or_null(COUNT),
    },
    "replicates": Many(NAME),
    "machines": Many(NAME),
}
