"""The stand-in beside what the wheel of CuPy answers without a GPU: names, signatures, metadata of arrays, errors.

The wheel's answers are on record, in wheel.json. Where the wheel is installed, they are asked for anew.
"""

import functools
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
RECORD = json.loads((FOLDER / "wheel.json").read_text())

# Raised for the same by the same type of error, in words of Python or of NumPy.
OTHER_WORDS = {
    "memoryview(x)",  # the protocol of buffers is for C before Python 3.12
    "bytes(memoryview(x))",
    "hash(cupy.cuda.Device(0))",
    "x.item(0)",
    'cupy.RawModule("text")',
    "np.sum(n, where=x)",
}
# The wheel calls whatever method its argument has, and so gives NumPy's result for NumPy's array; here it is refused.
STRICTER = {"cupy.sum([1, 2])", "cupy.reshape([1, 2], (2, 1))"}
OTHER_SIGNATURES = {"cupy.matmul": "a generalized ufunc there, of which two arrays and `out` are here"}


@functools.cache
def answers(folder):
    """Return what the script prints with the modules of a folder in front."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path != str(FOLDER)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*folder, *filter(None, paths)])}
    command = [sys.executable, "-P", str(FOLDER / "behaviour.py")]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("snippet", RECORD["snippets"])
def test_the_stand_in_answers_as_the_wheel(snippet):
    ours, theirs = answers((str(FOLDER),))["snippets"][snippet], RECORD["snippets"][snippet]
    if theirs is None:  # the wheel asked for a GPU before it said anything
        assert ours is not None
    elif snippet in OTHER_WORDS:
        assert ours.partition(":")[0] == theirs.partition(":")[0]
    elif snippet in STRICTER:
        assert ours.startswith("TypeError: Argument 'a' has incorrect type")
    else:
        assert ours == theirs


def test_the_stand_in_has_no_name_that_the_wheel_has_not():
    assert answers((str(FOLDER),))["names"].keys() <= RECORD["names"].keys()


def test_the_stand_in_has_the_parameters_of_the_wheel():
    ours = answers((str(FOLDER),))["names"]
    theirs = {name: described for name, described in RECORD["names"].items() if name in ours}
    told = {name for name, described in theirs.items() if described != ["function", None]}
    assert len(told) > 250
    for name in told - OTHER_SIGNATURES.keys():
        assert ours[name] == theirs[name], name


@pytest.mark.parametrize("what", ["names", "snippets"])
def test_the_wheel_answers_what_is_on_record(what):
    names = [d for d in importlib.metadata.distributions() if (d.metadata["Name"] or "").startswith("cupy-cuda")]
    if not names:
        pytest.skip("no wheel of CuPy is installed: the nightly checks have one")
    if names[0].version != "14.2.0":
        pytest.skip(f"the record is of CuPy 14.2.0, installed is {names[0].version}")
    found = answers(())[what]
    for key, value in RECORD[what].items():
        if value is not None:  # with a GPU the wheel says more
            assert found[key] == value, key
