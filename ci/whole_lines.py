"""Mend text files whose lines end in blanks, or that do not end in one newline; exit with 1 if there were any.

Usage: python ci/whole_lines.py FILE...
"""

import re
import sys
from pathlib import Path


def mended(content: bytes) -> bytes:
    """Return a file's content without blanks at the ends of lines, and with one newline at its end, if it has lines."""
    content = re.sub(rb"[ \t]+(?=\r?\n|$)", b"", content).rstrip(b"\r\n")
    return content + b"\n" if content else content


def main(paths: list[str]) -> int:
    """Mend the files at `paths`, and name them."""
    wrong = [path for path in map(Path, paths) if path.read_bytes() != mended(path.read_bytes())]
    for path in wrong:
        path.write_bytes(mended(path.read_bytes()))
        print(f"mended {path}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
