from collections.abc import Callable
from typing import Any

import pytest

from portable_nn import layers
from portable_nn.arrays import BACKENDS, namespace
from portable_nn.errors import BackendError, MissingExtraError
from portable_nn.testing.cases import CASES

Run = Callable[..., Any]
FEW = ("Affine", "Dropout", "SoftmaxWithLoss, all options")


@pytest.fixture
def few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in CASES if name not in FEW]:
        monkeypatch.delitem(CASES, name)


def test_every_layer_and_loss_is_checked(run: Run) -> None:
    result = run("check")
    assert (result.status, result.err) == (0, "")
    head, *lines, last = result.out.splitlines()
    assert head.split("  ")[-3:] == ["central differences", "torch autograd", "jax.vjp"]
    for name, line in zip(CASES, lines, strict=True):
        assert line.startswith(f"{name} ")
        assert line.endswith(" ok")
        assert float(line.removeprefix(name).split()[0]) < 1e-7
    assert last == f"numpy: {len(CASES)} of {len(CASES)} layers and losses have the right gradients"


@pytest.mark.usefixtures("few_cases")
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_backend_can_be_checked(run: Run, backend: str) -> None:
    try:
        namespace(backend)
    except (MissingExtraError, BackendError) as error:
        pytest.skip(str(error))
    result = run(f"check --backend {backend}")
    assert result.status == 0, result.out
    assert result.out.splitlines()[-1] == f"{backend}: 3 of 3 layers and losses have the right gradients"


@pytest.mark.usefixtures("few_cases")
def test_a_wrong_gradient_is_shown_and_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = layers.Affine.backward_pass

    def wrong(self: Any, run: Any, params: Any, saved: Any, dy: Any) -> Any:
        dx, grads = right(self, run, params, saved, dy)
        return dx, grads | {"b": grads["b"] * 1.01}

    monkeypatch.setattr(layers.Affine, "backward_pass", wrong)
    result = run("check")
    assert result.status == 1
    lines = result.out.splitlines()
    assert [line.split()[-1] for line in lines[1:4]] == ["WRONG", "ok", "ok"]
    assert lines[4] == "numpy: 2 of 3 layers and losses have the right gradients"
    assert any(line.startswith("b ") and "over 1e-07" in line for line in lines)
