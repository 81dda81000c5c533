"""What `python -m benchmarks --quick` holds portable_nn to: its time on NumPy over that of others, at most."""

from collections.abc import Mapping

from benchmarks.report import compared

__all__ = ["BOUNDS", "OURS", "behind"]

OURS = "ours-numpy"

BOUNDS: dict[str, dict[str, float]] = {
    "W1": {"plain NumPy": 0.75, "best peer": 1.00},
    "W4": {"plain NumPy": 0.75, "best peer": 1.45},
    "W6-1": {"plain NumPy": 1.40, "best peer": 1.40},
}


def behind(
    times: Mapping[str, Mapping[str, list[float]]], bounds: Mapping[str, Mapping[str, float]] = BOUNDS
) -> list[str]:
    """Return a sentence for each ratio above its bound, beyond the noise: three quarters of the rounds are above."""
    sentences: list[str] = []
    for workload, others in bounds.items():
        for other, bound in others.items():
            ratio, name = compared(times.get(workload, {}), OURS, other) or (None, "")
            if ratio is not None and ratio.low > bound:
                sentences.append(f"{workload}: {ratio} of the time of {name}, at most {bound:.2f} is allowed")
    return sentences
