import importlib.util
import json
import os
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import portable_nn as pnn
from portable_nn.arrays import namespace_of, to_numpy
from portable_nn.storage import write_arrays

X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def net(**options):
    return pnn.Sequential(
        pnn.Affine(6, 5), pnn.LeakyReLU(0.2), pnn.Affine(5, 3), loss=pnn.Huber(delta=2.0), seed=3, **options
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def test_a_network_saved_on_one_backend_is_the_same_bits_on_any_other(xp, path):
    network = net(xp=xp)
    network.freeze("0.b")
    network.notes["classes"] = ["a", "b"]
    network.save(path)
    for library in filter(importlib.util.find_spec, ("numpy", "torch", "jax", "array_api_strict")):
        loaded = pnn.load(path, library)
        assert loaded.place.backend == library
        for name, value in network.parameters.items():
            assert to_numpy(loaded.parameters[name]).tobytes() == to_numpy(value).tobytes()
        assert loaded.trainable() == network.trainable()
        assert loaded.seed == 3
        assert loaded.notes == {"classes": ["a", "b"]}
        assert loaded.loss_function.delta == 2.0
        assert loaded[1].slope == 0.2


def test_float64_stays_float64_unless_told_otherwise(path):
    net(dtype="float64").save(path)
    assert pnn.load(path).parameters["0.W"].dtype == np.float64
    assert pnn.load(path, dtype="float32").parameters["0.W"].dtype == np.float32


def test_arrays_that_are_not_contiguous_are_written_right(path):
    W = np.arange(30, dtype=np.float32).reshape(5, 6).T
    network = pnn.Sequential(pnn.Affine.from_arrays(W))
    network[0].parameters["W"].value = W  # as a fast kernel might lay it out
    network.save(path)
    np.testing.assert_array_equal(load_file(path)["0.W"], W)


class Scale(pnn.Layer):
    def forward_pass(self, run, params, x):
        return x, None


def test_layers_of_ones_own_are_passed_in_never_imported(path):
    pnn.Sequential(Scale()).save(path)
    with pytest.raises(pnn.CheckpointError, match=r"pass it to load\(\.\.\., classes=\[Scale\]\)"):
        pnn.load(path)
    assert isinstance(pnn.load(path, classes=[Scale])[0], Scale)


def change(path, edit):
    """Rewrite the description in a file, checksum and all, as somebody would who means harm."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        description = json.loads(file.metadata()["portable_nn"])
    edit(description)
    write_arrays(path, load_file(path), description)


DAMAGE = {
    "cut short": (lambda p: p.write_bytes(p.read_bytes()[:-5]), "is damaged"),
    "empty": (lambda p: p.write_bytes(b""), "is damaged"),
    "not a file of ours": (lambda p: save_file({"a": np.ones(2)}, p), "not one of a portable_nn network"),
    "newer": (lambda p: change(p, lambda d: d.update(version=99)), "version 99; this portable_nn reads up to 2"),
    "no version": (lambda p: change(p, lambda d: d.pop("version")), "not one of a portable_nn network"),
    "unknown class": (
        lambda p: change(p, lambda d: d["layers"]["0"].update(kind="os.system")),
        "class os.system is not",
    ),
    "other sizes": (lambda p: change(p, lambda d: d["layers"]["0"]["options"].update(outputs=7)), "needs shape"),
    "a layer as loss": (
        lambda p: change(p, lambda d: d.update(loss={"kind": "ReLU", "options": {}})),
        r"ReLU\(\) is no loss",
    ),
    "notes of another kind": (lambda p: change(p, lambda d: d.update(notes=3)), "does not describe a network"),
    "too deep": (lambda p: save_file({"a": np.ones(2)}, p, metadata={"portable_nn": "[" * 100_000}), "is damaged"),
    "no layers": (lambda p: change(p, lambda d: d.pop("layers")), "does not describe a network"),
    "layers of nothing": (lambda p: change(p, lambda d: d["layout"].update(layers=["8"])), "does not describe"),
    "wrong options": (
        lambda p: change(p, lambda d: d["layers"]["0"]["options"].update(xp="torch", evil=1)),
        "does not",
    ),
    "missing array": (lambda p: change(p, lambda d: d["layers"]["0"]["options"].update(bias=False)), "its layers need"),
    "tie to nowhere": (lambda p: change(p, lambda d: d["ties"].update({"2.b": {"to": "9.b"}})), "does not describe"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_file_that_is_damaged_or_strange_is_a_clear_error(kind, path):
    damage, message = DAMAGE[kind]
    net().save(path)
    damage(path)
    with pytest.raises(pnn.CheckpointError, match=message):
        pnn.load(path)


def test_numpy_scalars_among_the_options_can_be_saved(path):
    network = pnn.Sequential(
        pnn.Affine(np.int64(3), 2, bias=np.bool_(False)), pnn.Dropout(np.float32(0.5)), seed=np.int64(3)
    )
    network.notes["mean"] = np.float32(1.5)
    network.save(path)
    loaded = pnn.load(path)
    assert (repr(loaded), loaded.seed, loaded.notes) == (repr(network), 3, {"mean": 1.5})


def test_a_place_that_is_missing_is_not_called_a_damaged_file(path):
    net().save(path)
    with pytest.raises(pnn.NamespaceError, match="unknown array library 'foo'"):
        pnn.load(path, "foo")


def test_sizes_that_a_file_merely_claims_are_not_allocated(path):
    net().save(path)
    change(path, lambda d: d["layers"]["0"]["options"].update(inputs=10**7, outputs=10**7))
    with pytest.raises(pnn.CheckpointError, match="needs shape"):
        pnn.load(path)


def test_no_file(path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        pnn.load(path)


def test_a_save_that_fails_leaves_the_old_file_and_no_other(path, monkeypatch):
    net().save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        net(dtype="float64").save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_what_dead_processes_left_is_swept_away(path):
    old, new, other = (path.parent / name for name in (f".{path.name}.a.part", f".{path.name}.b.part", ".x.a.part"))
    for left in (old, new, other):
        left.touch()
    for left in (old, other):
        os.utime(left, (0, 0))
    net().save(path)
    assert set(path.parent.iterdir()) == {path, new, other}


def test_a_saved_file_has_the_usual_permissions(path):
    net().save(path)
    (path.parent / "usual").touch()
    assert path.stat().st_mode == (path.parent / "usual").stat().st_mode


class Gain(pnn.Layer):
    """y = scale x, with a parameter of no axes."""

    recordable = True

    def __init__(self):
        super().__init__()
        self.parameters["scale"] = pnn.Parameter((), lambda rng, shape: np.asarray(1.5, dtype="float32"))

    def forward_pass(self, run, params, x):
        return x * params["scale"], (x, params["scale"])

    def backward_pass(self, run, params, saved, dy):
        x, scale = saved
        return dy * scale, {"scale": namespace_of(x).sum(x * dy)}


def test_a_parameter_without_axes_is_saved_loaded_and_resumed(xp, path):
    def made():
        return pnn.Sequential(pnn.Affine(6, 3), Gain(), loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp)

    network = made()
    network.save(path)
    loaded = pnn.load(path, classes=[Gain])
    assert loaded.parameters["1.scale"].shape == ()
    assert loaded.parameters["1.scale"] == 1.5
    options = {"progress": False, "checkpoint": path.parent / "run"}
    x, t = network.place.asarray(X), network.place.asarray(np.arange(4) % 3, network.place.index_dtype)
    pnn.Trainer(network).fit(x, t, epochs=1, **options)
    again = made()
    pnn.Trainer(again).fit(x, t, epochs=1, resume=True, **options)
    assert to_numpy(again.parameters["1.scale"]) == to_numpy(network.parameters["1.scale"]) != 1.5


def test_saving_writes_through_a_link(path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    path.symlink_to(target)
    for _ in range(2):
        net().save(path)
        assert path.is_symlink()
        assert target.is_file()
        assert list(target.parent.iterdir()) == [target]
    pnn.load(path)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_file_that_is_there_keeps_its_mode(path):
    path.touch(0o600)
    net().save(path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name != "posix", reason="pipes with names are POSIX's")
def test_what_is_no_file_is_not_replaced(path):
    import threading

    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    net().save(path)
    reader.join()
    assert path.is_fifo()
    path.unlink()
    path.write_bytes(read[0])
    pnn.load(path)


def test_a_network_is_the_same_bytes_each_time_that_it_is_saved(path):
    contents = set()
    for _ in range(8):
        net().save(path)
        contents.add(path.read_bytes())
        pnn.load(path).save(path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_a_changed_version_does_not_turn_the_checksum_off(path):
    net().save(path)
    content = path.read_bytes().replace(rb"\"version\": 2", rb"\"version\": 1")
    assert content != path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(pnn.CheckpointError, match="damaged"):
        pnn.load(path)


def test_a_class_of_ones_own_with_a_name_of_the_librarys_is_not_taken_for_it(path):
    class ReLU(pnn.Layer):
        def forward_pass(self, run, params, x):
            return -x, None

    class Huber(pnn.Huber):
        pass

    network = pnn.Sequential(pnn.Affine(6, 3), pnn.ReLU(), ReLU(), seed=0, loss=Huber())
    network.save(path)
    with pytest.raises(
        pnn.CheckpointError, match=rf"the class ReLU is not one of portable_nn but of {ReLU.__module__}"
    ):
        pnn.load(path)
    loaded = pnn.load(path, classes=[ReLU, Huber])
    assert [type(layer) for layer in loaded.layers] == [pnn.Affine, pnn.ReLU, ReLU]
    assert type(loaded.loss_function) is Huber
    np.testing.assert_array_equal(loaded.predict(X), network.predict(X))


def test_a_checkpoint_of_a_run_is_loaded_like_a_network(xp, path):
    folder = path.parent / "run"
    network = net(xp=xp)
    network.notes["target"] = "y"
    x, t = network.place.asarray(X), network.place.asarray(X[:, :3])
    pnn.Trainer(network).fit(x, t, epochs=2, progress=False, checkpoint=folder)
    network.save(path)
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) == 3
    for file in files:
        loaded = pnn.load(file)
        assert repr(loaded) == repr(pnn.load(path))
        assert loaded.notes == {"target": "y"}
    newest = pnn.load(files[-1])
    for name, value in network.parameters.items():
        np.testing.assert_array_equal(newest.parameters[name], to_numpy(value))


def test_a_checkpoint_of_an_earlier_version_says_what_is_missing(path):
    write_arrays(path, {"network/0.W": np.ones(3)}, {"version": 2, "epoch": 1, "step": 0, "numbers": {}})
    with pytest.raises(pnn.CheckpointError, match="a checkpoint of an earlier version"):
        pnn.load(path)


@pytest.mark.parametrize("options", [("Branch", {"n": 4_000_000}), ("Split", {"sections": 4_000_000})])
def test_outputs_that_a_file_merely_claims_are_not_made(options, path):
    graph = pnn.Graph()
    one, other = pnn.Branch()(graph.input("x"))
    graph.output(one, other)
    graph.save(path)
    kind, claimed = options
    change(path, lambda d: d["layers"]["branch1"].update(kind=kind, options=claimed))
    started = time.thread_time()
    with pytest.raises(pnn.CheckpointError, match="has 4000000 outputs, the file names 2"):
        pnn.load(path)
    assert time.thread_time() - started < 1.0
