"""portable_nn beside its peers and the limit of the machine: `python -m benchmarks`.

Each contestant runs in its own process, on as many threads and cores as the others, in turns with them, round by round.
Before anything is timed, all must compute the same losses from the same weights and batches.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from benchmarks import bounds, footprint, report
from benchmarks.contestants import CONTESTANTS
from benchmarks.tournament import Result, compete
from benchmarks.workloads import WORKLOADS, Workload

RESULTS = Path(__file__).parent / "results"
QUICK = {
    "workloads": list(bounds.BOUNDS),
    "contestants": [bounds.OURS, "notes", "torch", "jax"],
    "threads": [1],
    "rounds": 11,
}
FULL = {
    "workloads": [name for name in WORKLOADS if name != "W9"],  # which is there to fill a GPU
    "contestants": [name for name, contestant in CONTESTANTS.items() if not contestant.on_gpu],
    "threads": [1, 2],
    "rounds": 15,
}
GPU = {
    "workloads": ["W1", "W4", "W5", "W9"],
    "contestants": [name for name, contestant in CONTESTANTS.items() if contestant.on_gpu],
    "threads": [4],  # the host only launches, but PyTorch's backward pass does so from a thread of its own
    "rounds": 15,
}


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few workloads; exit status 1 if a bound is missed")
    parser.add_argument("--gpu", action="store_true", help="those who compute on a GPU instead of the others")
    parser.add_argument("--workloads", type=names_of(WORKLOADS), help=f"some of {','.join(WORKLOADS)}")
    parser.add_argument("--contestants", type=names_of(CONTESTANTS), help=f"some of {','.join(CONTESTANTS)}")
    parser.add_argument("--threads", type=lambda text: [int(part) for part in text.split(",")], help="such as 1,2")
    parser.add_argument("--rounds", type=int, help="measurements of each contestant")
    parser.add_argument("--seconds", type=float, default=0.05, help="the least that one takes (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="folder of JSON and picture (default: benchmarks/results)")
    options = parser.parse_args(given)
    for name, value in (QUICK if options.quick else GPU if options.gpu else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.out is None and not options.quick:
        options.out = RESULTS
    return options


def names_of(known):
    """Return the type of lists of names."""

    def names(text: str) -> list[str]:
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return chosen

    return names


def measurements(workloads: list[Workload], options: argparse.Namespace) -> dict[int, Result]:
    """Return the results by number of threads."""
    results: dict[int, Result] = {}
    with tqdm(unit=" measurements", dynamic_ncols=True) as bar:
        for threads in options.threads:
            results[threads] = compete(
                workloads,
                options.contestants,
                threads,
                options.rounds,
                options.seconds,
                doing=bar.set_description,
                done=lambda: bar.update(1),
            )
    return results


def main(given: list[str]) -> int:
    options = arguments(given)
    workloads = [WORKLOADS[name] for name in options.workloads]
    try:
        results = measurements(workloads, options)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    times = {threads: result.times for threads, result in results.items()}
    print(report.heading(), end="\n\n")
    for threads, columns in times.items():
        print(report.text(columns, f"{threads} thread{'s' if threads > 1 else ''}"), end="\n\n")
    left_out = {name: why for result in results.values() for name, why in result.left_out.items()}
    for name, why in left_out.items():
        print(f"left out: {CONTESTANTS[name].label}: {why}")
    failed = {name: why for result in results.values() for name, why in result.failed.items()}
    measured = {} if options.quick or options.gpu else footprint.measure()
    if measured:
        print(*footprint.lines(measured), sep="\n")
    if options.out is not None and any(row for columns in times.values() for row in columns.values()):
        path = report.write(options.out, times, rounds=options.rounds, left_out=left_out, footprint=measured)
        print(f"written: {path}")
        draw(times, options.out / "speed.png")
    complaints = [line for columns in times.values() for line in bounds.behind(columns)] if options.quick else []
    print(*complaints, sep="\n", end="\n" if complaints else "")
    print(*(f"failed: {CONTESTANTS[name].label}: {why}" for name, why in failed.items()), sep="\n", file=sys.stderr)
    return 1 if complaints or failed else 0


def draw(times, path: Path) -> None:
    try:
        from benchmarks import picture
    except ImportError as error:
        print(f"no picture: {error}")
        return
    if picture.draw(times, path):
        print(f"drawn: {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
