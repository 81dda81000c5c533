"""A pytest plugin: the fixtures `xp` and `xp64`, which run a test on every backend, and marks to leave some out.

It is loaded wherever portable_nn is installed, and imports it (a tenth of a second), but none of the backends before a
test asks for one. A project's own fixtures of the same names take the place of these.
"""

from collections.abc import Generator

import pytest

from portable_nn.errors import DTypeError
from portable_nn.testing.backends import BACKENDS, Backend, BackendNamespace, float64_enabled, selected_backends

_MARKS = """\
skip_xp_backends(*names, reason=None, np_only=False, cpu_only=False, exceptions=()): skip the test on these backends
xfail_xp_backends(*names, reason=None, np_only=False, cpu_only=False, exceptions=()): expect the test to fail on these
"""

try:
    _selected, _wrong = selected_backends(), ""
except ValueError as error:
    _selected, _wrong = BACKENDS, str(error)

_each_backend = pytest.fixture(params=[pytest.param(backend, id=backend.name) for backend in _selected])


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks; UsageError if PORTABLE_NN_BACKENDS makes no sense."""
    if _wrong:
        raise pytest.UsageError(_wrong)
    for line in _MARKS.splitlines():
        config.addinivalue_line("markers", line)


@_each_backend
def xp(request: pytest.FixtureRequest) -> BackendNamespace:
    """Return the Array API namespace of one backend after the other; `xp.place` says where its arrays live."""
    return _prepared(request).namespace()


@_each_backend
def xp64(request: pytest.FixtureRequest) -> Generator[BackendNamespace]:
    """Yield the same, with float64: backends that lack it are skipped, and JAX is told to have it."""
    backend = _prepared(request)
    with float64_enabled(backend.library):
        xp = backend.namespace()
        try:
            type(xp.place)(xp, backend.device, "float64")
        except DTypeError as error:
            pytest.skip(str(error))
        yield xp


def _prepared(request: pytest.FixtureRequest) -> Backend:
    """Return the backend of a test, unless a mark or its absence skips it."""
    backend: Backend = request.param
    _apply_marks(request, backend)
    missing = backend.missing()
    if missing:
        pytest.skip(f"missing backend {missing}")
    return backend


def _apply_marks(request: pytest.FixtureRequest, backend: Backend) -> None:
    for mark in request.node.iter_markers("skip_xp_backends"):
        if _is_meant(mark, backend):
            pytest.skip(mark.kwargs.get("reason") or f"does not run on {backend.name}")
    for mark in request.node.iter_markers("xfail_xp_backends"):
        if _is_meant(mark, backend):
            reason = mark.kwargs.get("reason") or f"known to fail on {backend.name}"
            request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def _is_meant(mark: pytest.Mark, backend: Backend) -> bool:
    names = {backend.name, backend.library}
    if names & set(mark.kwargs.get("exceptions", ())):
        return False
    if mark.kwargs.get("np_only") and backend.library != "numpy":
        return True
    if mark.kwargs.get("cpu_only") and (backend.library == "cupy" or backend.name.endswith("-cuda")):
        return True
    return bool(names & set(mark.args))
