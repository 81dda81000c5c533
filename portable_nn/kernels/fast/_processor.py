"""Which processor this is: what pays on one does not on another, and a rule must not depend on times."""

import platform
from functools import cache
from pathlib import Path

__all__ = ["description", "is_intel"]

_FILE = Path("/proc/cpuinfo")


@cache
def _fields() -> dict[str, str]:
    """Return what the system says of the first core; nothing where it says nothing."""
    try:
        text = _FILE.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def is_intel() -> bool:
    """Tell whether Intel made the processor, as far as the system says."""
    return _fields().get("vendor_id") == "GenuineIntel"


def description() -> str:
    """Return the processor's name, vendor, family and model."""
    fields = _fields()
    known = [
        " ".join([word, fields[name]]).strip()
        for name, word in (("model name", ""), ("vendor_id", ""), ("cpu family", "family"), ("model", "model"))
        if name in fields
    ]
    return ", ".join(known) or platform.processor() or platform.machine() or "unknown"
