"""The pytest plugin, as another project would use it."""

import pytest

pytest_plugins = ["pytester"]

TEST = """
import pytest

def test_plain(xp):
    assert xp.place.holds(xp.ones(3))

@pytest.mark.skip_xp_backends("array_api_strict", reason="too strict")
def test_skipped(xp):
    pass

@pytest.mark.skip_xp_backends(np_only=True, exceptions=["array-api-strict"])
def test_np_only(xp):
    pass

@pytest.mark.xfail_xp_backends("numpy-readonly")
def test_writes(xp):
    x = xp.zeros(3)
    if xp.backend.library == "numpy":
        x[0] = 1

def test_double(xp64):
    assert xp64.ones(3, dtype=xp64.float64).dtype == xp64.float64
"""


@pytest.fixture
def run(pytester, monkeypatch):
    def run(value):
        monkeypatch.setenv("PORTABLE_NN_BACKENDS", value)
        pytester.makepyfile(TEST)
        return pytester.runpytest_inprocess("-v", "-rs")

    return run


def test_marks_and_switch(run):
    result = run('["numpy", "numpy-readonly", "array_api_strict"]')
    result.assert_outcomes(passed=15, skipped=4, xfailed=1)
    result.stdout.fnmatch_lines(["*test_plain?array-api-strict? PASSED*"])
    result.stdout.fnmatch_lines(["*too strict*"])
    result.stdout.fnmatch_lines(["*has no float64*"])


def test_zero_is_numpy_alone(run):
    assert "torch" not in run("0").stdout.str()


def test_a_missing_backend_is_reported_by_name(run, monkeypatch):
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "cupy" else find_spec(name, *a))
    run('["cupy"]').stdout.fnmatch_lines(["*missing backend cupy: the backend cupy needs the package cupy*"])


def test_an_unknown_backend_is_an_error(run):
    run("numpy").stdout.fnmatch_lines(["*needs 0, 1, all, or a list such as *, got numpy*"])
    run('["nunpy"]').stdout.fnmatch_lines(["*PORTABLE_NN_BACKENDS has ?'nunpy'?; known are numpy*"])
