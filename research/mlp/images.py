"""Named image data sets, downloaded once and verified, with the test part of their authors.

Shape letters: N images, F pixels of an image: height x width x channels.
"""

import gzip
import math
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from research.downloads import Source, download
from research.errors import UserError


class Images(NamedTuple):
    """Images and their labels.

    Attributes:
      x: uint8 [N, F], flattened from [N, height, width, channels].
      y: int64 [N].
      test_rows: how many rows at the end are the test part.
    """

    x: np.ndarray
    y: np.ndarray
    test_rows: int


class NamedImages(NamedTuple):
    """How to get a named image data set.

    Attributes:
      sources: the files to download.
      read: the paths of these files -> Images.
      shape: (height, width, channels).
      classes: the name of each class.
    """

    sources: tuple[Source, ...]
    read: Callable[[Sequence[Path]], Images]
    shape: tuple[int, int, int]
    classes: tuple[str, ...]


def load_images(name: str) -> Images:
    """The images of a name in `IMAGES`, downloaded if necessary.

    Raises:
      UserError: if they cannot be downloaded (the error says where to put the files), or are
        damaged.
    """
    named = IMAGES[name]
    paths = [download(name, source, "--data") for source in named.sources]
    try:
        images = named.read(paths)
        if images.x.shape[1] != math.prod(named.shape) or len(images.x) != len(images.y):
            raise _Mismatch
    except _Mismatch:
        raise UserError(f"--data {name}: its files do not belong together") from None
    except (OSError, EOFError, zlib.error, ValueError, LookupError, tarfile.TarError) as error:
        raise UserError(f"--data {name}: cannot be read ({error})") from error
    return images


class _Mismatch(Exception):
    """The files of a data set have different numbers of images."""


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in a gzipped file in the IDX format of MNIST (LeCun and Cortes, 1998).

    Raises:
      ValueError: if the file is not in that format.
    """
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} holds no bytes in IDX format")
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _read_mnist(paths: Sequence[Path]) -> Images:
    train_x, train_y, test_x, test_y = map(read_idx, paths)
    if len(train_x) != len(train_y) or len(test_x) != len(test_y):
        raise _Mismatch
    x = np.concatenate([train_x, test_x])
    y = np.concatenate([train_y, test_y]).astype(np.int64)
    return Images(x.reshape(len(x), -1), y, len(test_y))


def _read_cifar10(paths: Sequence[Path]) -> Images:
    """CIFAR-10 from an archive of six files of records: a label, then 3 x 32 x 32 bytes."""
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    with tarfile.open(paths[0]) as archive:
        files = {Path(member.name).name: member for member in archive if member.isfile()}
        batches = [_bytes_of(archive, files[name]).reshape(-1, 3073) for name in names]
    records = np.concatenate(batches)
    x = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Images(x.reshape(len(x), -1), records[:, 0].astype(np.int64), len(batches[-1]))


def _bytes_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> np.ndarray:
    file = archive.extractfile(member)
    assert file is not None
    return np.frombuffer(file.read(), np.uint8)


def _four(base: str, *md5: str) -> tuple[Source, ...]:
    """The four files of MNIST, or of what is laid out like it."""
    names = [(f"{part}-{kind}-ubyte.gz", most) for part in ("train", "t10k")
             for kind, most in (("images-idx3", 40_000_000), ("labels-idx1", 100_000))]  # fmt: skip
    files = zip(names, md5, strict=True)
    return tuple(Source(base + name, f"md5:{one}", most) for (name, most), one in files)


IMAGES = {
    # LeCun et al. (1998).
    "mnist": NamedImages(
        _four(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        _read_mnist,
        (28, 28, 1),
        tuple("0123456789"),
    ),
    # Xiao, Rasul and Vollgraf (2017).
    "fashion_mnist": NamedImages(
        _four(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        _read_mnist,
        (28, 28, 1),
        (
            "T-shirt",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
    ),
    # Krizhevsky (2009), in the form that needs no pickle.
    "cifar10": NamedImages(
        (
            Source(
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                200_000_000,
            ),
        ),
        _read_cifar10,
        (32, 32, 3),
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
}
