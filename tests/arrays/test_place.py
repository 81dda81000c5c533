"""Places, what is said where a device or a data type is missing, and moves between places."""

import copy
import pickle

import numpy as np
import pytest

from portable_nn.arrays import Place, device_of, move, namespace, to_numpy
from portable_nn.errors import BackendError, DTypeError, NamespaceError


def test_a_place_holds_its_own_arrays(xp):
    place = xp.place
    array = place.asarray([[1.0, 2.0]])
    assert array.shape == (1, 2)
    assert array.dtype == xp.float32 == place.dtype
    assert place.holds(array)
    assert device_of(array) == place.device
    assert (place.backend, place.dtype_name) == (xp.backend.library, "float32")


def test_asarray_copies(xp):
    values = np.ones(3, np.float32)
    array = xp.place.asarray(values)
    values[0] = 9.0
    np.testing.assert_array_equal(to_numpy(array), 1.0)


def test_asarray_takes_what_is_read_only(xp):
    # the arrays of JAX come to NumPy read-only, and torch warns of them
    values = np.arange(3.0)
    values.setflags(write=False)
    np.testing.assert_array_equal(to_numpy(xp.place.asarray(values)), [0.0, 1.0, 2.0])


def test_asarray_takes_numpys_numbers_of_another_data_type(xp):
    for number in (np.float64(3.0), np.asarray(3.0), np.int64(3)):
        array = xp.place.asarray(number)
        assert (array.shape, array.dtype, float(array)) == ((), xp.float32, 3.0)


def test_labels_have_the_library_s_integer(xp):
    labels = xp.place.asarray([1, 2], xp.place.index_dtype)
    assert labels.dtype == xp.asarray([1, 2]).dtype
    assert xp.isdtype(labels.dtype, "signed integer")


def test_float64_places(xp64):
    place = Place(xp64, xp64.place.device, "float64")
    assert place.asarray([1]).dtype == xp64.float64
    assert place != xp64.place
    assert pickle.loads(pickle.dumps(place)) == place
    assert str(place).endswith(", float64")


def test_jax_has_float64_only_when_told():
    pytest.importorskip("jax")
    with pytest.raises(DTypeError, match=r'jax has no float64 .*jax.config.update\("jax_enable_x64", True\)'):
        Place("jax", dtype="float64")


@pytest.mark.parametrize("device", ["no_float64", "no_x64"])
def test_a_device_without_float64(device):
    pytest.importorskip("array_api_strict")
    with pytest.raises(DTypeError, match=f"array_api_strict has no float64 on the device .*{device}"):
        Place("array_api_strict", device, "float64")


@pytest.mark.parametrize("dtype", ["int32", "complex64", "float", "double"])
def test_data_types_of_no_use_are_named(dtype):
    with pytest.raises(
        DTypeError, match=f"one of the dtypes float32, float64, bfloat16, float16 is needed, got '{dtype}'"
    ):
        Place("numpy", dtype=dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("library", ["numpy", "array_api_strict"])
def test_who_does_not_compute_in_low_precision_says_so(library, dtype):
    pytest.importorskip(library)
    with pytest.raises(DTypeError, match=f"{library} has no products of {dtype} .* take dtype float32 there"):
        Place(library, dtype=dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_place_keeps_in_float32_what_it_computes_in_less(library, dtype):
    xp = pytest.importorskip("jax.numpy" if library == "jax" else library)
    place = Place(library, dtype=getattr(xp, dtype))
    assert (place.precision, place.dtype_name, place.is_mixed) == (dtype, "float32", True)
    assert place.asarray([1.0]).dtype == xp.float32
    low = place.computing
    assert (low.dtype_name, low.is_mixed) == (dtype, False)
    assert low.asarray([1.0]).dtype == getattr(xp, dtype)
    assert low.keeping is place
    assert low.computing is low
    assert place.keeping is place
    assert low != place != Place(library)
    for one in (place, low):
        copied = pickle.loads(pickle.dumps(one))
        assert copied == one
        assert hash(copied) == hash(one)
        assert copied.keeping == place


def test_a_place_of_full_precision_computes_and_keeps_alike():
    place = Place("numpy", dtype="float64")
    assert place.computing is place.keeping is place
    assert (place.precision, place.is_mixed) == ("float64", False)


@pytest.mark.parametrize("name", ["numpy", "torch", "array_api_strict"])
def test_a_data_type_may_be_the_library_s_own(name):
    xp = pytest.importorskip(name)
    assert Place(name, dtype=np.dtype("float64") if name == "numpy" else xp.float64).dtype_name == "float64"


def test_a_data_type_may_be_numpy_s_scalar_class():
    assert Place("numpy", dtype=np.float64).dtype_name == "float64"


MISSING_DEVICES = [("numpy", "gpu"), ("torch", "nonsense"), ("torch", "cuda:99"), ("jax", "tpu"), ("jax", "cpu:99")]


@pytest.mark.parametrize(("name", "device"), [*MISSING_DEVICES, ("array_api_strict", "nonsense")])
def test_a_missing_device_is_named(name, device):
    pytest.importorskip(name)
    with pytest.raises(BackendError, match=f"{name} .*'{device}'"):
        Place(name, device)


@pytest.mark.parametrize(("name", "device"), MISSING_DEVICES[:3])
def test_a_missing_device_is_named_for_float64_too(name, device):
    pytest.importorskip(name)
    with pytest.raises(BackendError, match=f"{name} .*'{device}'"):
        Place(name, device, "float64")


def test_a_place_is_a_value(xp):
    place = xp.place
    twin = Place(xp.backend.library, xp.backend.device)
    assert place == twin
    assert hash(place) == hash(twin)
    assert len({place, twin, Place("numpy", dtype="float64")}) == 2
    assert place != "numpy"
    assert copy.deepcopy(place) is place
    assert repr(place) == f"{xp.backend.library} on {place.device}, float32"


def test_a_place_pickles(xp):
    place = pickle.loads(pickle.dumps(xp.place))
    assert place == xp.place
    assert place.xp is namespace(xp.backend.library)
    assert place.device == xp.place.device


def test_what_is_there_already_is_not_copied(xp):
    array = xp.place.asarray([1.0, 2.0])
    assert move(array, xp.place) is array


def test_numpy_arrays_move_anywhere_and_take_the_place_s_data_type(xp):
    for values in (np.asarray([1.0, 2.0]), np.asarray([1, 2], np.uint8), np.asarray([True, True])):
        moved = move(values, xp.place)
        assert xp.place.holds(moved)
        assert moved.dtype == xp.float32
        np.testing.assert_array_equal(to_numpy(moved), values)
    labels = move(np.asarray([3, 1], np.uint8), xp.place, xp.int32)
    assert labels.dtype == xp.int32
    np.testing.assert_array_equal(to_numpy(labels), [3, 1])


def test_the_data_type_changes_where_the_array_is(xp):
    moved = move(xp.asarray([1, 2]), xp.place)
    assert moved.dtype == xp.float32
    assert xp.place.holds(moved)


LAYOUTS = {
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(12.0).reshape(3, 4)[:, ::2],
    "reversed": np.arange(3.0)[::-1],
    "big-endian": np.arange(3.0).astype(">f4"),
    "0-d": np.asarray(3.0),
    "empty": np.zeros((0, 3)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_move_takes_any_memory_layout(xp, layout):
    np.testing.assert_array_equal(to_numpy(move(LAYOUTS[layout], xp.place)), LAYOUTS[layout])


@pytest.mark.parametrize(("here", "there"), [("torch", "jax"), ("jax", "torch"), ("array_api_strict", "numpy")])
def test_other_libraries_do_not_mix(here, there):
    for name in (here, there):
        pytest.importorskip(name)
    with pytest.raises(NamespaceError) as error:
        move(Place(here).asarray([1.0]), Place(there), name="t")
    assert str(error.value) == (
        f"t is an array of {here}, the network is on {there}: "
        f'move the network with .to("{here}"), or the array with portable_nn.to_numpy(t)'
    )


def test_two_devices_do_not_mix():
    pytest.importorskip("array_api_strict")
    array = Place("array_api_strict", "device1").asarray([1.0])
    with pytest.raises(
        NamespaceError, match=r"x is on the device .*device1.*, the network on .*CPU_DEVICE.*: move one"
    ):
        move(array, Place("array_api_strict", "cpu"))
