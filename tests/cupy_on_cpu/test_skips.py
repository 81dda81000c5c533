"""That nothing is skipped on the stand-in in silence."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.parametrize("xp", ["cupy", "torch"])
def test_skipped(xp):
    if xp == {skipped!r}:
        pytest.skip({reason!r})
"""


@pytest.mark.parametrize(
    ("skipped", "reason", "who", "status"),
    [
        ("cupy", "not tried here", "stand-in", 1),
        ("torch", "not tried here", "stand-in", 0),
        ("cupy", "not tried here", "", 0),
        ("cupy", "PyTorch test requires cuda, which is not there", "stand-in", 0),
        ("nobody", "", "stand-in", 0),
    ],
)
def test_a_skip_on_the_stand_in_is_a_failure(pytester, monkeypatch, skipped, reason, who, status):
    monkeypatch.setenv("PORTABLE_NN_CUPY", who)
    pytester.makeconftest((Path(__file__).parents[1] / "conftest.py").read_text())
    pytester.makepyfile(TESTS.format(skipped=skipped, reason=reason))
    result = pytester.runpytest_subprocess("-p", "no:portable_nn")
    assert result.ret == status
    assert ("nothing below is a result of a GPU" in result.stdout.str()) == (who == "stand-in")
    assert ("SKIPPED ON THE STAND-IN" in result.stdout.str()) == (status == 1)
