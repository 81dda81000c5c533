"""Print, as pip's constraints, the lowest versions of what the package needs that pyproject.toml allows.

Usage: python ci/lowest.py >constraints.txt
"""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(requirement: str) -> str:
    """Return "name==version" of "name>=version"; SystemExit if it is something else."""
    found = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)
    if found is None:
        raise SystemExit(f"pyproject.toml needs a lowest version of each dependency, got {requirement!r}")
    return "==".join(found.groups())


if __name__ == "__main__":
    print(*map(lowest, tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]), sep="\n")
