"""A pytest plugin: the fixtures `xp` and `xp64`, which run a test on every backend, and marks to leave some out.

It is loaded wherever portable_nn is installed, so it imports the library only when a fixture is used.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from portable_nn.testing.backends import Backend, BackendNamespace

_MARKS = """\
skip_xp_backends(*names, reason=None, np_only=False, cpu_only=False, exceptions=()): skip the test on these backends
xfail_xp_backends(*names, reason=None, np_only=False, cpu_only=False, exceptions=()): expect the test to fail on these
"""


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    for line in _MARKS.splitlines():
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that asks for `xp` or `xp64` once a backend; those that are missing are skipped by name."""
    for fixture in ("xp", "xp64"):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, list(_parameters()), indirect=True)


def _parameters() -> Iterator[Any]:
    from portable_nn.testing.backends import selected_backends

    for backend in selected_backends():
        missing = backend.missing()
        yield pytest.param(
            backend, id=backend.name, marks=[pytest.mark.skip(reason=f"missing backend {missing}")] if missing else []
        )


@pytest.fixture
def xp(request: pytest.FixtureRequest) -> "BackendNamespace":
    """Return the Array API namespace of one backend after the other; `xp.place` says where its arrays live."""
    backend: Backend = request.param
    _apply_marks(request, backend)
    return backend.namespace()


@pytest.fixture
def xp64(request: pytest.FixtureRequest) -> "Generator[BackendNamespace]":
    """Yield the same, with float64: backends that lack it are skipped, and JAX is told to have it."""
    from portable_nn.errors import DTypeError
    from portable_nn.testing.backends import float64_enabled

    backend: Backend = request.param
    _apply_marks(request, backend)
    with float64_enabled(backend.library):
        xp = backend.namespace()
        try:
            type(xp.place)(xp, backend.device, "float64")
        except DTypeError as error:
            pytest.skip(str(error))
        yield xp


def _apply_marks(request: pytest.FixtureRequest, backend: "Backend") -> None:
    for mark in request.node.iter_markers("skip_xp_backends"):
        if _is_meant(mark, backend):
            pytest.skip(mark.kwargs.get("reason") or f"does not run on {backend.name}")
    for mark in request.node.iter_markers("xfail_xp_backends"):
        if _is_meant(mark, backend):
            reason = mark.kwargs.get("reason") or f"known to fail on {backend.name}"
            request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def _is_meant(mark: pytest.Mark, backend: "Backend") -> bool:
    names = {backend.name, backend.library}
    if names & set(mark.kwargs.get("exceptions", ())):
        return False
    if mark.kwargs.get("np_only") and backend.library != "numpy":
        return True
    if mark.kwargs.get("cpu_only") and (backend.library == "cupy" or backend.name.endswith("-cuda")):
        return True
    return bool(names & set(mark.args))
