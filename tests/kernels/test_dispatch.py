"""Each backend gets all kernels: its own where it has them, else the portable ones."""

import importlib
import pkgutil

import array_api_compat.numpy
import numpy as np
import pytest

from portable_nn.kernels import PORTABLE, PORTABLE_KERNELS, kernels_for, portable
from portable_nn.kernels.fast import numpy as fast_numpy


def test_every_kernel_is_there(xp):
    kernels = kernels_for(xp)
    assert all(callable(getattr(kernels, name)) for name in PORTABLE_KERNELS)


def test_every_portable_module_is_gathered_and_no_two_kernels_share_a_name():
    # special holds what the standard lacks, and is used by kernels; loss_scaling is used as it is on every backend
    others = {"special", "loss_scaling"}
    modules = [m.name for m in pkgutil.iter_modules(portable.__path__) if m.name not in others]
    names = [n for m in modules for n in importlib.import_module(f"{portable.__name__}.{m}").__all__]
    assert sorted(names) == sorted(PORTABLE_KERNELS)


def test_a_fast_kernel_takes_the_place_of_its_namesake_alone():
    kernels = kernels_for(np)
    for name, kernel in PORTABLE_KERNELS.items():
        expected = getattr(fast_numpy, name) if name in fast_numpy.__all__ else kernel
        assert getattr(kernels, name) is expected
    assert fast_numpy.relu_gradient is not PORTABLE.relu_gradient


def test_a_backend_without_fast_kernels_gets_the_portable_ones():
    kernels = kernels_for(pytest.importorskip("array_api_strict"))
    assert all(getattr(kernels, name) is kernel for name, kernel in PORTABLE_KERNELS.items())


def test_a_backend_is_looked_up_once():
    assert kernels_for(np) is kernels_for(array_api_compat.numpy)


def test_an_unknown_kernel_is_named():
    with pytest.raises(AttributeError, match="there is no kernel 'affline'"):
        PORTABLE.affline  # noqa: B018
