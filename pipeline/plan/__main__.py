"""What a run of a profile costs, before it starts: passes, operations, hours, memory, disk, for each kind of stage.

    python -m pipeline.plan paper --flops 40e12 --cores 16
    python -m pipeline.plan --calibrate --out plan.csv

Nothing is computed, fetched or rendered: the stages' own functions are called with a network that only counts, and the operations
of a pass are those of the architecture without weights. Without PROFILE, the plan is that of params.yaml as it is.
"""

import argparse
import sys
from pathlib import Path

from pipeline.error_messages import report
from pipeline.parameters import PARAMS, Parameters, parse, read_params, validate
from pipeline.profiles import compose


def main(*arguments: str) -> None:
    options = build_parser().parse_args(arguments)
    # Imported here: they load torch, which takes seconds that the help and a wrong profile do without.
    from pipeline.plan import page, rates

    measured = rates.given(rates.REFERENCE, flops=options.flops, decode=options.decode, cores=options.cores)
    if min(options.images, options.height) < 1:
        raise ValueError(f"--images is {options.images} and --height {options.height}: expected positive numbers")
    params = planned_params(options.profile)
    if options.calibrate:
        from pipeline.plan.calibration import calibrate

        measured = rates.given(calibrate(params), flops=options.flops, decode=options.decode, cores=options.cores)
    assumed = page.Assumed(options.images, options.height)
    plan = page.make_plan(params, measured, assumed, cached=page.cached_stages(params))
    print(page.describe(plan))
    if options.out:
        plan.stages.to_csv(options.out, index=False, lineterminator="\n")
        print(Path(options.out))


def planned_params(profile: str | None) -> Parameters:
    """The parameters of a profile, or of params.yaml; ValueError where there is no such profile or it is faulty."""
    if profile is None:
        return read_params()
    source = Path("profiles", f"{profile}.yaml")
    return validate(parse(compose(profile), source), source)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", metavar="PROFILE", nargs="?", help=f"a profile (default: {PARAMS} as it is)")
    parser.add_argument("--out", metavar="FILE", help="CSV with one row for each stage")
    parser.add_argument(
        "--images",
        metavar="N",
        type=int,
        default=1000,
        help="panoramas of a set that is missing (default: %(default)s)",
    )
    parser.add_argument(
        "--height", metavar="PIXELS", type=int, default=512, help="height of such a panorama (default: %(default)s)"
    )
    rates = parser.add_argument_group("the machine (default: the one of docs/pipeline.md, two cores)")
    rates.add_argument("--calibrate", action="store_true", help="measure this machine, in less than a minute")
    rates.add_argument(
        "--flops",
        metavar="RATE",
        type=float,
        help="operations per second of a GPU at the profile's precision, such as 40e12",
    )
    rates.add_argument(
        "--decode", metavar="RATE", type=float, help="megapixels per second that a core decodes, or resizes"
    )
    rates.add_argument("--cores", metavar="N", type=int, help="cores that prepare images")
    return parser


if __name__ == "__main__":
    report(main, *sys.argv[1:])
