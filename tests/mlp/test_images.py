"""Tests of named image data sets, on small files of the real formats in the data folder."""

import dataclasses
import gzip
import hashlib
import io
import tarfile

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pooch
import pytest

from research.downloads import Source
from research.errors import UserError
from research.mlp import Config, HParams, data, images, make_problem
from research.mlp.dataset import DataChoice
from research.mlp.images import IMAGES, load_images, read_idx

RNG = np.random.default_rng(0)
CLASSES = ("x", "y", "z")


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """A function that makes files the named images `small`, already downloaded."""
    monkeypatch.setenv("SEEDBED_DATA", str(tmp_path))
    data.load.cache_clear()

    def keep(files, kind, shape, classes=CLASSES):
        (tmp_path / "small").mkdir(exist_ok=True)
        sources = []
        for name, content in files.items():
            (tmp_path / "small" / name).write_bytes(content)
            checksum = "md5:" + hashlib.md5(content).hexdigest()
            sources.append(Source("http://127.0.0.1:9/" + name, checksum, 10**6))
        named = images.NamedImages(tuple(sources), IMAGES[kind].read, shape, tuple(classes))
        monkeypatch.setitem(IMAGES, "small", named)

    yield keep
    data.load.cache_clear()


def idx(array):
    """The bytes of an IDX file."""
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.astype(np.uint8).tobytes())


def mnist(train=60, test=30, shape=(4, 3)):
    """Four small files in MNIST's format, and their images and labels."""
    x = RNG.integers(0, 256, (train + test, *shape), np.uint8)
    y = RNG.permutation(np.arange(train + test) % 3)
    parts = {"train-x": x[:train], "train-y": y[:train], "test-x": x[train:], "test-y": y[train:]}
    return {f"{name}.gz": idx(part) for name, part in parts.items()}, x, y


def cifar(missing=None, end=None):
    """A small archive in CIFAR-10's format, of six files of two records, and its content."""
    planes = RNG.integers(0, 256, (6, 2, 3, 32, 32), np.uint8)
    labels = RNG.integers(0, 3, (6, 2), np.uint8)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        for number in (5, 3, 0, 1, 2, 4):  # the archive's order is its own
            if names[number] == missing:
                continue
            records = [labels[number, :, None], planes[number].reshape(2, -1)]
            content = np.concatenate(records, axis=1).tobytes()[:end]
            member = tarfile.TarInfo("cifar-10-batches-bin/" + names[number])
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return {"cifar.tar.gz": archive.getvalue()}, planes.reshape(12, 3, 32, 32), labels.ravel()


def test_idx_files_give_images_with_the_test_part_last(keep):
    files, x, y = mnist()
    keep(files, "mnist", (4, 3, 1))
    loaded = load_images("small")
    assert (loaded.x.dtype, loaded.y.dtype, loaded.test_rows) == (np.uint8, np.int64, 30)
    np.testing.assert_array_equal(loaded.x, x.reshape(90, 12))
    np.testing.assert_array_equal(loaded.y, y)


@pytest.mark.parametrize("shape", [(5,), (2, 300), (2, 3, 4)])
def test_an_idx_file_has_any_number_of_axes(tmp_path, shape):
    array = RNG.integers(0, 256, shape, np.uint8)
    (tmp_path / "file.gz").write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "file.gz"), array)


def test_cifar_planes_become_channels_in_batch_order(keep):
    files, planes, labels = cifar()
    keep(files, "cifar10", (32, 32, 3))
    loaded = load_images("small")
    pixels = loaded.x.reshape(12, 32, 32, 3)
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], planes[:, channel])
    np.testing.assert_array_equal(loaded.y, labels)
    assert (loaded.x.dtype, loaded.test_rows) == (np.uint8, 2)


IDX = idx(np.zeros((30, 4, 3)))
BROKEN = {
    "no gzip": b"not compressed",
    "cut gzip": IDX[:-9],
    "damaged gzip": IDX[:12] + b"\xff\xff\xff" + IDX[15:],
    "empty": b"",
    "empty inside": gzip.compress(b""),
    "no IDX": gzip.compress(b"GIF89a"),
    "IDX of floats": gzip.compress(b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0"),
    "only a magic number": gzip.compress(b"\0\0\x08"),
    "no shape": gzip.compress(b"\0\0\x08\x03\0\0"),
    "too few pixels": gzip.compress(gzip.decompress(IDX)[:-1]),
    "too many pixels": gzip.compress(gzip.decompress(IDX) + b"\0"),
    "smaller images": idx(np.zeros((30, 3, 3))),
    "fewer axes": idx(np.zeros((30, 12))),
}


@pytest.mark.parametrize("kind", list(BROKEN))
def test_a_broken_idx_file_gives_a_one_line_error(keep, kind):
    files, _, _ = mnist()
    keep({**files, "test-x.gz": BROKEN[kind]}, "mnist", (4, 3, 1))
    with pytest.raises(UserError, match="--data small: cannot be read"):
        load_images("small")


@pytest.mark.parametrize(
    ("changed", "shape"),
    [
        ({"train-y.gz": idx(np.zeros(59))}, (4, 3, 1)),
        ({"test-x.gz": idx(np.zeros((31, 4, 3)))}, (4, 3, 1)),
        ({"train-y.gz": idx(np.zeros(61)), "test-y.gz": idx(np.zeros(29))}, (4, 3, 1)),
        ({}, (3, 3, 1)),
    ],
)
def test_files_of_different_lengths_give_a_one_line_error(keep, changed, shape):
    files, _, _ = mnist()
    keep({**files, **changed}, "mnist", shape)
    with pytest.raises(UserError, match="--data small: its files do not belong together"):
        load_images("small")


@pytest.mark.parametrize(
    "change",
    [
        lambda: cifar(missing="data_batch_3.bin")[0],
        lambda: cifar(missing="test_batch.bin")[0],
        lambda: cifar(end=-1)[0],
        lambda: {"cifar.tar.gz": cifar()[0]["cifar.tar.gz"][:5000]},
        lambda: {"cifar.tar.gz": b"no archive"},
        lambda: {"cifar.tar.gz": b""},
    ],
)
def test_a_broken_archive_gives_a_one_line_error(keep, change):
    keep(change(), "cifar10", (32, 32, 3))
    with pytest.raises(UserError, match="--data small: cannot be read"):
        load_images("small")


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_without_a_network_the_error_says_which_file_to_put_where(tmp_path, monkeypatch, name):
    def refuse(*args, **options):
        raise ConnectionError

    monkeypatch.setenv("SEEDBED_DATA", str(tmp_path))
    monkeypatch.setattr(pooch, "retrieve", refuse)
    source = IMAGES[name].sources[0]
    says = f"--data {name}: cannot download it .*get {source.url} and put it at {tmp_path}/{name}/"
    with pytest.raises(UserError, match=says):
        data.load(DataChoice(name))


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_every_named_set_has_classes_and_checksums(name):
    named = IMAGES[name]
    assert len(named.classes) == len(set(named.classes)) == 10
    assert len({source.name for source in named.sources}) == len(named.sources)
    for source in named.sources:
        kind, _, digits = source.checksum.partition(":")
        assert len(digits) == {"md5": 32, "sha256": 64}[kind]
        int(digits, 16)


def test_the_data_set_keeps_the_bytes_and_the_authors_test_part(keep):
    files, x, y = mnist()
    keep(files, "mnist", (4, 3, 1))
    dataset, facts = data.load(DataChoice("small"))
    rows = facts["rows"]
    assert rows["test"] == list(range(60, 90))
    assert sorted(rows["train"] + rows["validation"]) == list(range(60))
    for part in ("train", "validation", "test"):
        split = getattr(dataset, part)
        assert (split.x.dtype, split.y.dtype) == (np.uint8, np.int32)
        np.testing.assert_array_equal(split.x, x.reshape(90, 12)[rows[part]])
        np.testing.assert_array_equal(split.y, y[rows[part]])
    assert (dataset.classes, dataset.image, facts["classes"]) == (3, (4, 3, 1), list(CLASSES))


def test_a_sixth_of_training_is_validation_stratified_by_class(keep):
    files, _, y = mnist()
    keep(files, "mnist", (4, 3, 1))
    parts = [data.load(DataChoice("small", split_seed=seed))[0].validation.y for seed in range(4)]
    for labels in parts:
        assert len(labels) == 10
        counts = np.bincount(y[:60], minlength=3)
        assert np.abs(np.bincount(labels, minlength=3) - counts / 6).max() < 1
    rows = {
        tuple(data.load(DataChoice("small", split_seed=seed))[1]["rows"]["train"])
        for seed in range(4)
    }
    assert len(rows) == 4


def test_pixels_are_standardized_by_channel_and_by_the_training_part(keep):
    files, planes, _ = cifar()
    keep(files, "cifar10", (32, 32, 3))
    dataset, facts = data.load(DataChoice("small"))
    train = planes[facts["rows"]["train"]].astype(np.float64)
    mean, scale = train.mean(axis=(0, 2, 3)), train.std(axis=(0, 2, 3))
    np.testing.assert_allclose(facts["pixel_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(facts["pixel_scale"], scale, rtol=1e-5)
    x = np.asarray(dataset.standardized(dataset.test.x)).reshape(-1, 32, 32, 3)
    assert x.dtype == np.float32
    test = planes[facts["rows"]["test"]].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(x, (test - mean) / scale, rtol=1e-4, atol=1e-5)


def test_an_attack_can_go_from_black_to_white_and_no_further(keep):
    files, _, _ = cifar()
    keep(files, "cifar10", (32, 32, 3))
    dataset, _ = data.load(DataChoice("small"))
    black, white = np.zeros((1, 3072), np.uint8), np.full((1, 3072), 255, np.uint8)
    np.testing.assert_allclose(dataset.x_low, dataset.standardized(black)[0], rtol=1e-5)
    np.testing.assert_allclose(dataset.x_high, dataset.standardized(white)[0], rtol=1e-5)
    np.testing.assert_allclose(dataset.radius, dataset.x_high - dataset.x_low, rtol=1e-5)


@pytest.mark.slow
def test_training_on_bytes_equals_training_on_standardized_floats(keep):
    files, _, _ = mnist(shape=(4, 4))
    keep(files, "mnist", (4, 4, 1))
    task, shared, *_ = make_problem(Config(data="small", hidden=(), channels=(2,), batch_size=16))
    parts = {}
    for part in ("train", "validation", "test"):
        x, y = getattr(shared, part)
        parts[part] = data.Split(np.asarray(shared.standardized(x)), y)

    @jax.jit
    def run(shared):
        state = task.init(shared, HParams(), jax.random.key(0))
        state, metrics = task.step(shared, HParams(), state, jax.random.key(1), jnp.int32(0))
        return metrics, task.evaluate(shared, HParams(), state, jax.random.key(2))

    of_bytes, of_numbers = run(shared), run(dataclasses.replace(shared, **parts))
    chex.assert_trees_all_close(of_bytes, of_numbers, rtol=1e-5)
    assert of_bytes[0]["loss"] < 5


def test_standardized_rows_are_read_unchanged():
    dataset, _ = data.load(DataChoice("wine"))
    np.testing.assert_array_equal(dataset.standardized(dataset.test.x), dataset.test.x)


def test_row_indices_of_large_parts_are_recorded_as_a_digest(keep, monkeypatch):
    files, _, _ = mnist()
    keep(files, "mnist", (4, 3, 1))
    monkeypatch.setattr(data, "MOST_ROWS_NAMED", 89)
    named = [data.load(DataChoice("small", split_seed=seed))[1]["rows"] for seed in (0, 1)]
    assert all(rows[part].startswith("sha256:") for rows in named for part in rows)
    assert named[0]["train"] != named[1]["train"]
    assert named[0]["test"] == named[1]["test"]
