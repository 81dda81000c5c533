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
        return pytester.runpytest_subprocess("-v", "-rs")

    return run


def test_marks_and_switch(run):
    result = run('["numpy", "numpy-readonly", "array_api_strict"]')
    result.assert_outcomes(passed=15, skipped=4, xfailed=1)
    result.stdout.fnmatch_lines(["*test_plain?array-api-strict? PASSED*"])
    result.stdout.fnmatch_lines(["*too strict*"])
    result.stdout.fnmatch_lines(["*has no float64*"])


def test_zero_is_numpy_alone(run):
    assert "torch" not in run("0").stdout.str()


def test_a_missing_backend_is_reported_by_name(run):
    result = run('["torch-cuda", "jax-cuda", "cupy"]').stdout.str()
    missing = [name for name in ("torch-cuda", "jax-cuda", "cupy") if f"test_plain[{name}] PASSED" not in result]
    if not missing:
        pytest.skip("there is a GPU, and all that runs on it")
    for name in missing:
        assert f"missing backend {name}: " in result


def test_a_projects_own_xp_takes_the_place_of_ours(pytester):
    pytester.makepyfile("""
        import pytest

        @pytest.fixture(params=[1, 2])
        def xp(request):
            return request.param

        def test_own(xp):
            assert xp in (1, 2)
    """)
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_an_unknown_backend_is_an_error(run):
    run("numpy").stderr.fnmatch_lines(["*needs 0, 1, all, or a list such as *, got numpy*"])
    run('["nunpy"]').stderr.fnmatch_lines(["*PORTABLE_NN_BACKENDS has ?'nunpy'?; known are numpy*"])
