"""Every source that --data accepts, the split, and batches."""

from __future__ import annotations

import gzip
import io
import logging
import os
import pickle
import tarfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import Data, Images, augment, load_data, resized, to_batch
from nas.data.idx import FASHION
from nas.data.split import stratified_order
from nas.errors import InputError

CIFAR = Path(os.environ.get("NAS_TEST_DATA", "")) / "cifar10_10k2k.npz"


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return rng().integers(0, 256, shape, dtype=np.uint8)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def refused(*parts: str, **arguments: Any) -> str:
    """The one-sentence message with which load_data refuses; it has all the parts."""
    with pytest.raises(InputError) as error:
        load_data(**arguments)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


# --- types and the split ---------------------------------------------------------------------


def test_digits(digits: Data) -> None:
    assert (len(digits.train), len(digits.validation), len(digits.test or ())) == (1079, 359, 359)
    assert digits.train.x.shape == (1079, 1, 8, 8)
    assert (digits.train.x.dtype, digits.train.y.dtype) == (torch.uint8, torch.int64)
    assert (int(digits.train.x.min()), int(digits.train.x.max())) == (0, 255)
    assert digits.classes == tuple("0123456789")
    assert not digits.flip
    assert repr(digits.train) == "Images(1079 of 1×8×8)"


def test_data_is_frozen_and_pickles(digits: Data) -> None:
    with pytest.raises(FrozenInstanceError):
        digits.flip = True
    copy = pickle.loads(pickle.dumps(digits))
    assert (copy.id, copy.mean, copy.flip) == (digits.id, digits.mean, digits.flip)


def test_mean_and_std_are_those_of_the_training_pixels(digits: Data) -> None:
    pixels = digits.train.x.double() / 255
    assert digits.mean == pytest.approx([float(pixels.mean())])
    assert digits.std == pytest.approx([float(pixels.std(correction=0))])


def test_a_constant_channel_can_be_divided_by() -> None:
    images = Images(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    data = Data("flat", images, images, None, ("a", "b"), "0")
    assert (data.mean, data.std) == ((0.0,), (1.0,))


def counted(name: str, tmp_path: Path, n: int = 100, **more: Any) -> Data:
    """A set whose i-th image has the pixel value i: the split can be read off."""
    x = np.arange(n, dtype=np.uint8).repeat(4).reshape(n, 2, 2)
    y = np.where(np.arange(n) < n * 0.7, 0, 1)
    np.savez(tmp_path / name, x_train=x, y_train=y, **more)
    return load_data(str(tmp_path / name))


def ids(images: Images) -> list[int]:
    return images.x[:, 0, 0, 0].tolist()


def test_without_a_test_part_the_split_is_60_20_20_disjoint_and_stratified(tmp_path: Path) -> None:
    data = counted("a.npz", tmp_path)
    assert data.test
    parts = [data.train, data.validation, data.test]
    assert [len(part) for part in parts] == [60, 20, 20]
    assert sorted(i for part in parts for i in ids(part)) == list(range(100))
    assert [part.y.bincount().tolist() for part in parts] == [[42, 18], [14, 6], [14, 6]]


def test_the_split_is_fixed_whatever_the_global_seeds(tmp_path: Path) -> None:
    first = counted("a.npz", tmp_path)
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    second = counted("b.npz", tmp_path)
    assert ids(first.train) == ids(second.train)
    # Written down: a split that changes makes the records of earlier runs incomparable.
    assert ids(first.validation)[:8] == [26, 86, 2, 55, 75, 16, 54, 53]


def test_with_a_test_part_validation_is_a_fifth_of_the_training_part(tmp_path: Path) -> None:
    x, y = noise(10, 2, 2), np.arange(10) % 2
    data = counted("a.npz", tmp_path, x_test=x, y_test=y)
    assert (len(data.train), len(data.validation), len(data.test or ())) == (80, 20, 10)
    assert not set(ids(data.train)) & set(ids(data.validation))
    assert data.validation.y.bincount().tolist() == [14, 6]


def test_validation_has_at_most_ten_thousand(tmp_path: Path) -> None:
    n = 60_000
    x, y = np.zeros((n, 1, 1), np.uint8), np.arange(n) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    data = load_data(str(tmp_path / "a.npz"))
    assert (len(data.train), len(data.validation)) == (50_000, 10_000)


@pytest.mark.parametrize("counts", [[5, 5], [5, 7, 7, 7], [5, 6, 93], [5, *[9] * 20]])
def test_the_smallest_class_is_in_every_part(counts: list[int], tmp_path: Path) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    np.savez(tmp_path / "a.npz", x_train=noise(len(y), 4, 4), y_train=y)
    data = load_data(str(tmp_path / "a.npz"))
    assert data.test
    for part in (data.train, data.validation, data.test):
        assert int(part.y.bincount(minlength=len(counts)).min()) >= 1


def test_every_prefix_is_stratified() -> None:
    y = torch.tensor([0] * 600 + [1] * 300 + [2] * 100)
    ordered = y[stratified_order(y)]
    for n in (10, 50, 333, 900):
        counts = ordered[:n].bincount(minlength=3)
        assert (counts - n * torch.tensor([0.6, 0.3, 0.1])).abs().max() <= 1


def test_a_tiny_class_is_refused(tmp_path: Path) -> None:
    y = np.repeat([0, 1], [20, 4])
    np.savez(tmp_path / "a.npz", x_train=noise(24, 4, 4), y_train=y, classes=np.array(["a", "b"]))
    refused("class 'b' has 4 images", "at least 5", name=str(tmp_path / "a.npz"))


def test_id_is_of_the_content_alone(tmp_path: Path) -> None:
    x, y = noise(40, 3, 4, 4), np.arange(40) % 2
    names = np.array(["cat", "dog"])
    variants = {
        "a": {"x_train": x, "y_train": y},
        "same": {"x_train": x.transpose(0, 2, 3, 1), "y_train": y[:, None], "classes": names},
        "pixel": {"x_train": x ^ (np.arange(x.size) == 5).reshape(x.shape), "y_train": y},
        "label": {"x_train": x, "y_train": y ^ (np.arange(40) == 5)},
        "split": {"x_train": x[:30], "y_train": y[:30], "x_test": x[30:], "y_test": y[30:]},
    }
    found = {}
    for name, arrays in variants.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        found[name] = load_data(str(tmp_path / f"{name}.npz")).id
    assert all(len(value) == 12 and int(value, 16) >= 0 for value in found.values())
    assert found["same"] == found["a"]
    assert len(set(found.values())) == 4


# --- names -----------------------------------------------------------------------------------


def test_unknown_names_list_what_is_accepted() -> None:
    refused("did you mean cifar10", "module:function", ".npz", "digits", name="cifar")
    refused("did you mean fashion-mnist", name="FashionMNIST")
    refused("unknown", name="")


def test_missing_and_wrong_paths(tmp_path: Path) -> None:
    refused("no such file or folder", name=str(tmp_path / "nowhere"))
    refused("no such file or folder", name="nowhere.npz")
    refused("folder or an .npz", name=str(write(tmp_path / "a.txt", b"x")))


def test_size_is_checked() -> None:
    refused("size", "got 0", name="digits", size=0)


# --- npz -------------------------------------------------------------------------------------


def save(path: Path, **arrays: Any) -> dict[str, Any]:
    """Write an .npz whose training part is fine unless `arrays` says otherwise."""
    fine = {"x_train": noise(20, 4, 4), "y_train": np.arange(20) % 2}
    arrays = {key: value for key, value in (fine | arrays).items() if value is not None}
    np.savez(path / "set.npz", **arrays)
    return {"name": str(path / "set.npz")}


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((4, 5), 1), ((4, 5, 1), 1), ((4, 5, 3), 3), ((1, 4, 5), 1), ((3, 4, 5), 3), ((3, 3, 3), 3)],
)
def test_npz_layouts(shape: tuple[int, ...], channels: int, tmp_path: Path) -> None:
    data = load_data(**save(tmp_path, x_train=noise(20, *shape)))
    assert data.train.x.shape[1] == channels
    assert data.flip == (channels == 3)
    assert data.train.x.is_contiguous()


def test_npz_floats_are_scaled(tmp_path: Path) -> None:
    x = noise(20, 4, 4)
    whole = load_data(**save(tmp_path, x_train=x))
    for kind in (np.float16, np.float32, np.float64):
        scaled = load_data(**save(tmp_path, x_train=(x / 255).astype(kind)))
        assert scaled.id == whole.id


def test_npz_with_names_and_a_test_part(tmp_path: Path) -> None:
    more = {"x_test": noise(4, 4, 4), "y_test": np.arange(4) % 2, "classes": np.array(["a", "b"])}
    data = load_data(**save(tmp_path, **more))
    assert data.classes == ("a", "b")
    assert len(data.test or ()) == 4


NPZ_ERRORS: list[tuple[dict[str, Any], list[str]]] = [
    ({"x_train": noise(20, 4)}, ["x_train", "(20, 4)", "(n, h, w)"]),
    ({"x_train": noise(20, 2, 4, 4)}, ["x_train", "(20, 2, 4, 4)"]),
    ({"x_train": noise(0, 4, 4), "y_train": np.zeros(0, int)}, ["x_train", "none"]),
    ({"x_train": np.zeros((20, 4, 4), np.int64)}, ["x_train", "int64", "uint8"]),
    ({"x_train": np.full((20, 4, 4), 200.0)}, ["x_train", "[0, 1]", "200"]),
    ({"x_train": np.full((20, 4, 4), np.nan)}, ["x_train", "[0, 1]", "nan"]),
    ({"x_train": np.array([{}] * 20)}, ["plain arrays", "allow_pickle=False"]),
    ({"y_train": np.array(["a", "b"] * 10, object)}, ["plain arrays", "allow_pickle=False"]),
    ({"x_train": None}, ["expected an array x_train", "y_train"]),
    ({"y_train": None}, ["expected an array y_train", "x_train"]),
    ({"x_test": noise(2, 4, 4)}, ["expected an array y_test"]),
    ({"y_test": np.arange(2)}, ["expected an array x_test"]),
    ({"y_train": np.arange(19) % 2}, ["x_train has 20", "y_train has 19"]),
    ({"y_train": np.arange(20) / 2}, ["y_train", "integers", "float64"]),
    ({"y_train": np.eye(20, dtype=int)}, ["y_train", "(20, 20)"]),
    ({"y_train": np.array(1)}, ["y_train", "()"]),
    ({"y_train": np.arange(20) % 2 - 1}, ["training labels", "-1 to 0"]),
    ({"y_train": np.arange(20) % 2 + 1}, ["training labels", "without a gap", "1 to 2"]),
    ({"y_train": np.arange(20) * 10**15}, ["training labels", "without a gap"]),
    ({"y_train": np.zeros(20, int)}, ["at least two classes", "'0'"]),
    ({"classes": np.array(["a"])}, ["at least two classes", "'a'"]),
    ({"y_train": np.arange(20) % 3, "classes": np.array(["a", "b"])}, ["0 to 1", "got 2 at 2"]),
    ({"classes": np.arange(2)}, ["classes", "strings", "int64"]),
    ({"x_test": noise(2, 4, 4), "y_test": np.array([0, 2])}, ["test labels", "got 2 at 1"]),
    ({"x_test": noise(2, 4, 4), "y_test": np.array([0, -1])}, ["test labels", "got -1 at 1"]),
    ({"x_test": noise(2, 5, 4), "y_test": np.arange(2)}, ["(1, 4, 4)", "(1, 5, 4)"]),
]


@pytest.mark.parametrize(("arrays", "parts"), NPZ_ERRORS)
def test_npz_errors(arrays: dict[str, Any], parts: list[str], tmp_path: Path) -> None:
    refused("set.npz", *parts, **save(tmp_path, **arrays))


def test_npz_that_is_none(tmp_path: Path) -> None:
    whole = Path(save(tmp_path)["name"]).read_bytes()
    broken = bytearray(whole)
    broken[200:260] = bytes(60)
    npy = io.BytesIO()
    np.save(npy, noise(4))
    for data in (whole[:-40], b"", bytes(broken), pickle.dumps({"x_train": 1}), npy.getvalue()):
        refused("bad.npz", "whole .npz", name=str(write(tmp_path / "bad.npz", data)))


def test_npz_whose_header_promises_terabytes(tmp_path: Path) -> None:
    header = io.BytesIO()
    promised = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 4, 4)}
    np.lib.format.write_array_header_1_0(header, promised)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for key in ("x_train", "y_train"):
            archive.writestr(f"{key}.npy", header.getvalue())
    refused("whole .npz", name=str(tmp_path / "a.npz"))


# --- IDX -------------------------------------------------------------------------------------


def idx(x: np.ndarray) -> bytes:
    return bytes((0, 0, 8, x.ndim)) + np.array(x.shape, ">u4").tobytes() + x.tobytes()


def write_idx(folder: Path, packed: bool = False) -> Path:
    pack: Callable[[bytes], bytes] = gzip.compress if packed else bytes
    for part, n in (("train", 100), ("t10k", 20)):
        y = (np.arange(n) % 10).astype(np.uint8)
        for kind, values in (("images-idx3", noise(n, 6, 6)), ("labels-idx1", y)):
            name = f"{part}-{kind}-ubyte{'.gz' if packed else ''}"
            write(folder / name, pack(idx(values)))
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_idx(packed: bool, tmp_path: Path) -> None:
    data = load_data("fashion-mnist", write_idx(tmp_path, packed))
    assert (len(data.train), len(data.validation), len(data.test or ())) == (80, 20, 20)
    assert data.train.x.shape[1:] == (1, 6, 6)
    assert data.classes[0] == "T-shirt/top"
    assert data.flip
    mnist = load_data("mnist", tmp_path)
    assert (mnist.classes, mnist.flip, mnist.id) == (tuple("0123456789"), False, data.id)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda raw: raw[:-1], "promises 3600 values of [100, 6, 6], it has 3599"),
        (lambda raw: raw + b"1", "it has more"),
        (lambda raw: raw[:10], "within its header"),
        (lambda raw: b"", "begins with nothing"),
        (lambda raw: b"\0\0\x0d" + raw[3:], "begins with 00 00 0d 03"),
    ],
)
def test_idx_errors(change: Callable[[bytes], bytes], part: str, tmp_path: Path) -> None:
    path = write_idx(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(change(path.read_bytes()))
    refused(str(path), "whole IDX file", part, name="mnist", data_dir=tmp_path)


def test_idx_truncated_gzip(tmp_path: Path) -> None:
    path = write_idx(tmp_path, packed=True) / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-12])
    refused(str(path), "whole IDX file", name="mnist", data_dir=tmp_path)
    path.write_bytes(b"no gzip")
    refused(str(path), "whole IDX file", name="mnist", data_dir=tmp_path)


def test_idx_length_mismatch_and_label_out_of_range(tmp_path: Path) -> None:
    path = write_idx(tmp_path) / "t10k-labels-idx1-ubyte"
    path.write_bytes(idx(np.zeros(19, np.uint8)))
    refused("x_test has 20", "y_test has 19", name="mnist", data_dir=tmp_path)
    path.write_bytes(idx(np.full(20, 10, np.uint8)))
    refused("test labels", "0 to 9, got 10", name="mnist", data_dir=tmp_path)


def test_idx_missing(tmp_path: Path) -> None:
    apt = "apt install dataset-fashion-mnist"
    refused(apt, "--data-dir", name="fashion-mnist", data_dir=tmp_path / "nowhere")
    (write_idx(tmp_path) / "t10k-images-idx3-ubyte").unlink()
    refused("t10k-images", apt, "--data-dir", name="fashion-mnist", data_dir=tmp_path)
    refused("--data-dir", name="mnist")


def test_fashion_mnist_as_debian_installs_it() -> None:
    if not (FASHION.folder and FASHION.folder.is_dir()):
        pytest.skip("needs Debian's package dataset-fashion-mnist")
    data = load_data("fashion-mnist")
    assert (len(data.train), len(data.validation), len(data.test or ())) == (50_000, 10_000, 10_000)
    assert data.train.y.bincount().tolist() == [5000] * 10
    assert data.mean == pytest.approx([0.286], abs=0.001)


# --- CIFAR-10 --------------------------------------------------------------------------------


def cifar_files() -> dict[str, bytes]:
    """A tiny CIFAR-10: ten images a batch."""
    names = [f"class{number}" for number in range(10)]
    files = {"batches.meta.txt": "\n".join([*names, "", ""]).encode()}
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        records = np.random.default_rng(number).integers(0, 256, (10, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(10)
        files[f"{name}.bin"] = records.tobytes()
    return files


def write_cifar(folder: Path) -> Path:
    for name, raw in cifar_files().items():
        write(folder / name, raw)
    return folder


def write_archive(
    path: Path, files: dict[str, bytes], folder: str = "cifar-10-batches-bin"
) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return path


def test_cifar_folders_archive_and_npz_are_one(tmp_path: Path) -> None:
    files = cifar_files()
    records = {
        name: np.frombuffer(raw, np.uint8).reshape(-1, 3073)
        for name, raw in files.items()
        if name.endswith(".bin")
    }
    test = records.pop("test_batch.bin")
    train = np.concatenate([records[name] for name in sorted(records)])
    arrays = {}
    for part, table in (("train", train), ("test", test)):
        arrays[f"x_{part}"] = table[:, 1:].reshape(-1, 3, 32, 32)
        arrays[f"y_{part}"] = table[:, 0]
    (tmp_path / "npz").mkdir()
    np.savez(tmp_path / "npz" / "cifar.npz", **arrays)
    bare = write_cifar(tmp_path / "bare")
    write_cifar(tmp_path / "root" / "cifar-10-batches-bin")
    (tmp_path / "packed").mkdir()
    archive = write_archive(tmp_path / "packed" / "cifar-10-binary.tar.gz", files)
    places = [bare, tmp_path / "root", archive, archive.parent, tmp_path / "npz"]
    found = [load_data("cifar10", place) for place in [*places, tmp_path / "npz" / "cifar.npz"]]
    assert len({data.id for data in found}) == 1
    assert found[0].classes[9] == "class9"
    assert found[0].train.x.shape == (40, 3, 32, 32)
    assert found[0].flip


def test_cifar_missing(tmp_path: Path) -> None:
    where = "https://www.cs.toronto.edu/~kriz/cifar.html"
    refused("binary version", where, "--data-dir", name="cifar10")
    refused("nowhere", where, name="cifar10", data_dir=tmp_path / "nowhere")
    refused("neither batches nor an .npz", where, name="cifar10", data_dir=tmp_path)
    (write_cifar(tmp_path) / "data_batch_3.bin").unlink()
    refused("lacks data_batch_3.bin", name="cifar10", data_dir=tmp_path)


@pytest.mark.parametrize("place", ["cifar-10-batches-py/data_batch_1", "data_batch_1"])
def test_cifar_pickled_is_refused_unread(place: str, tmp_path: Path) -> None:
    path = write(tmp_path / place, b"cposix\nsystem\n")
    for folder in {tmp_path, path.parent}:
        refused("pickled", "binary version", ".npz", name="cifar10", data_dir=folder)


def test_cifar_pickled_archive_is_refused_unread(tmp_path: Path) -> None:
    files = {"data_batch_1": b"cposix\nsystem\n"}
    for name in ("cifar-10-python.tar.gz", "renamed.tar.gz"):
        path = write_archive(tmp_path / name, files, "cifar-10-batches-py")
        refused("pickled", "binary version", name="cifar10", data_dir=path)


def test_cifar_archive_writes_nothing_and_follows_no_link(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", cifar_files()["data_batch_1.bin"])
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("../../data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)
    refused("lacks", "data_batch_1.bin", name="cifar10", data_dir=path)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.tar.gz", "secret"]


def test_cifar_broken(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "cifar-10-binary.tar.gz", cifar_files())
    archive.write_bytes(archive.read_bytes()[:2000])
    refused("expected a whole", name="cifar10", data_dir=archive)
    folder = write_cifar(tmp_path / "bin")
    batch = folder / "data_batch_2.bin"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    refused("data_batch_2.bin", "3073", f"{len(whole) - 1} bytes", name="cifar10", data_dir=folder)
    batch.write_bytes(b"\x0a" + whole[1:])
    refused("0 to 9, got 10 at 10", name="cifar10", data_dir=folder)


def test_cifar_several_npz(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write(tmp_path / name, b"")
    refused("several .npz (a.npz, b.npz)", name="cifar10", data_dir=tmp_path)


def test_cifar_npz_of_real_images() -> None:
    if not CIFAR.is_file():
        pytest.skip("needs cifar10_10k2k.npz in the folder that NAS_TEST_DATA names")
    data = load_data("cifar10", CIFAR)
    assert (len(data.train), len(data.validation), len(data.test or ())) == (8000, 2000, 2000)
    assert data.validation.y.bincount().tolist() == [200] * 10
    assert data.classes[3] == "cat"
    assert data.mean == pytest.approx([0.49, 0.48, 0.45], abs=0.01)
    assert len(load_data("cifar10", CIFAR.parent).train) == 8000


# --- folders of images -----------------------------------------------------------------------


def write_images(root: Path, classes: dict[str, int], suffix: str = ".png") -> Path:
    for label, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.new("RGB", (30, 20), (60 * label, number % 256, 0))
            image.save(root / name / f"{number}{suffix}")
    return root


def test_folder(tmp_path: Path) -> None:
    write_images(tmp_path, {"dog": 10, "cat": 20})
    write(tmp_path / "cat" / "Thumbs.db", b"x")
    write(tmp_path / "cat" / "._0.png", b"x")
    (tmp_path / ".git").mkdir()
    data = load_data(str(tmp_path), size=16)
    assert data.classes == ("cat", "dog")
    assert data.train.x.shape == (18, 3, 16, 16)
    assert data.flip
    # the label is in the red channel, however the images were ordered
    assert torch.equal(data.train.x[:, 0, 0, 0] // 60, 1 - data.train.y)
    assert load_data(str(tmp_path)).train.x.shape[2:] == (64, 64)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".bmp", ".webp", ".gif", ".tiff"])
def test_folder_formats(suffix: str, tmp_path: Path) -> None:
    data = load_data(str(write_images(tmp_path, {"a": 5, "b": 5}, suffix)), size=8)
    assert len(data.train) == 6


def test_folder_keeps_the_centre(tmp_path: Path) -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 8:32] = 255  # a filter two pixels wide sees beyond the crop
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.fromarray(image).save(tmp_path / name / f"{number}.png")
    assert int(load_data(str(tmp_path), size=10).train.x.min()) == 255


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK", "I;16"])
def test_folder_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    write_images(tmp_path, {"a": 5, "b": 4})
    if mode == "I;16":
        image = Image.fromarray(np.full((9, 9), 256 * 255, np.uint16))
    else:
        image = Image.new("RGB", (9, 9), (255, 255, 255)).convert(mode)
    image.save(tmp_path / "b" / f"odd{'.tiff' if mode == 'CMYK' else '.png'}")
    data = load_data(str(tmp_path), size=4)
    assert data.test
    x = torch.cat([data.train.x, data.validation.x, data.test.x])
    assert x.shape == (10, 3, 4, 4)
    assert int((x == 255).all(dim=(1, 2, 3)).sum()) == 1


def test_folder_turns_photographs_upright(tmp_path: Path) -> None:
    write_images(tmp_path, {"a": 5, "b": 4})
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4, :, 2] = 255  # blue above
    turned = Image.fromarray(pixels)
    exif = turned.getexif()
    exif[0x0112] = 3  # by 180 degrees
    turned.save(tmp_path / "b" / "odd.png", exif=exif)
    data = load_data(str(tmp_path), size=8)
    assert data.test
    blue = torch.cat([data.train.x, data.validation.x, data.test.x])[:, 2].amax(dim=2)
    assert blue[blue.amax(dim=1) > 0].tolist() == [[0] * 4 + [255] * 4]


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_folder_with_parts(validation: str, tmp_path: Path) -> None:
    classes = {"a": 3, "b": 2}
    for part in ("train", validation, "test"):
        write_images(tmp_path / part, classes)
    data = load_data(str(tmp_path), size=4)
    assert (len(data.train), len(data.validation), len(data.test or ())) == (5, 5, 5)
    assert data.classes == ("a", "b")


def test_folder_with_some_parts(tmp_path: Path) -> None:
    classes = {"a": 10, "b": 10}
    write_images(tmp_path / "train", classes)
    data = load_data(str(tmp_path), size=4)
    assert (len(data.train), len(data.validation), len(data.test or ())) == (12, 4, 4)
    write_images(tmp_path / "test", {"a": 2, "b": 1})
    data = load_data(str(tmp_path), size=4)
    assert (len(data.train), len(data.validation), len(data.test or ())) == (16, 4, 3)
    (tmp_path / "test").rename(tmp_path / "val")
    data = load_data(str(tmp_path), size=4)
    assert (len(data.train), len(data.validation), data.test) == (20, 3, None)


def test_folder_may_have_a_class_called_train(tmp_path: Path) -> None:
    data = load_data(str(write_images(tmp_path, {"bus": 5, "train": 5})), size=4)
    assert data.classes == ("bus", "train")


def test_folder_parts_that_do_not_fit(tmp_path: Path) -> None:
    write_images(tmp_path / "train", {"a": 5, "b": 5})
    write_images(tmp_path / "test", {"a": 5})
    refused("test", "'b' is missing", name=str(tmp_path))
    write_images(tmp_path / "test", {"b": 1, "c": 1})
    refused("test", "'c' is not in train", name=str(tmp_path))
    for part in ("val", "validation"):
        write_images(tmp_path / part, {"a": 1, "b": 1})
    refused("val and validation", "both", name=str(tmp_path))


def test_folder_empty_or_of_one_class(tmp_path: Path) -> None:
    refused("expected a folder of images for each class", name=str(tmp_path))
    (tmp_path / "cat").mkdir()
    refused("at least two classes", "'cat'", name=str(tmp_path))
    (tmp_path / "dog").mkdir()
    refused(str(tmp_path / "cat"), "found none", name=str(tmp_path))
    write_images(tmp_path, {"cat": 5, "dog": 3})
    refused("class 'dog' has 3 images", name=str(tmp_path))


def test_a_broken_image_is_named_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_images(tmp_path, {"a": 50, "b": 50})
    path = tmp_path / "b" / "7.png"
    path.write_bytes(path.read_bytes()[:60])
    with caplog.at_level(logging.WARNING, logger="nas"):
        data = load_data(str(tmp_path), size=4)
    assert len(data.train) + len(data.validation) + len(data.test or ()) == 99
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("nas", "WARNING")
    assert str(path) in record.getMessage()
    assert torch.equal(data.train.x[:, 0, 0, 0] // 60, data.train.y)


def test_many_broken_images_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path, {"a": 50, "b": 50})
    for number in (3, 4):
        write(tmp_path / "a" / f"{number}.png", b"")
    refused("2 of 100", "1%", str(tmp_path / "a" / "3.png"), name=str(tmp_path), size=4)


# --- module:function -------------------------------------------------------------------------

MODULE = """
import numpy as np
import torch
from torch.utils.data import Dataset, TensorDataset

class Endless(Dataset):
    classes = ["cat", "dog"]
    def __init__(self, n, convert): self.n, self.convert = n, convert
    def __len__(self): return self.n
    def __getitem__(self, i): return self.convert(i), torch.tensor(i % 2)

class Iterable:
    def __iter__(self): return ((grey(i), i % 2) for i in range(20))

def grey(i): return torch.full((1, 4, 4), i / 20)
buffer = np.zeros((3, 4, 4), np.uint8)
def refilled(i): buffer[:] = i; return buffer
def same_buffer(): return Endless(20, refilled), None
def rgb(i): return np.full((3, 4, 4), i, np.uint8)
def fail(i): raise OSError("disk gone")
def both(): return Endless(20, rgb), Endless(4, rgb)
def alone(): return Endless(20, grey), None
def iterable(): return [Iterable(), None]
def tensors():
    return TensorDataset(torch.rand(20, 1, 4, 4), torch.arange(20) % 2), None
def lists(): return [(grey(i), i % 2) for i in range(20)], None
def one(): return Endless(20, rgb)
def nothing(): return None, None
def number(): return 3, None
def raises(): raise RuntimeError("no such\\n  disk")
def broken(): return Endless(20, fail), None
def empty(): return Endless(0, rgb), None
def large(): return Endless(20, lambda i: torch.full((1, 4, 4), 7.0)), None
def flat(): return Endless(20, lambda i: torch.zeros(4, 4)), None
def last(): return Endless(20, lambda i: torch.zeros(4, 4, 3)), None
def text(): return Endless(20, lambda i: "cat.jpg"), None
def sizes(): return Endless(20, lambda i: torch.zeros(1, 4 + i, 4)), None
def triple(): return [(grey(i), i % 2, 0) for i in range(20)], None
def half(): return [(grey(i), i / 2) for i in range(20)], None
def negative(): return [(grey(i), -i) for i in range(20)], None
value = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a fresh module in the working directory."""
    monkeypatch.chdir(tmp_path)
    name = f"module_of_{tmp_path.name}"  # unlike any that an earlier test imported
    write(tmp_path / f"{name}.py", MODULE.encode())
    return name


def test_function(module: str) -> None:
    data = load_data(f"{module}:both")
    assert (len(data.train), len(data.validation), len(data.test or ())) == (16, 4, 4)
    assert data.train.x.shape[1:] == (3, 4, 4)
    assert (data.classes, data.flip) == (("cat", "dog"), True)
    assert torch.equal(data.train.x[:, 0, 0, 0] % 2, data.train.y)


def test_function_may_fill_one_buffer_again_and_again(module: str) -> None:
    train = load_data(f"{module}:same_buffer").train
    assert torch.equal(train.x[:, 0, 0, 0] % 2, train.y)


@pytest.mark.parametrize("function", ["alone", "iterable", "tensors", "lists"])
def test_function_without_a_test_set(function: str, module: str) -> None:
    data = load_data(f"{module}:{function}")
    assert (len(data.train), len(data.validation), len(data.test or ())) == (12, 4, 4)
    assert not data.flip


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        ("boths", ["expected a function boths", "did you mean both?"]),
        ("value", ["expected a function value"]),
        ("one", ["a training and a test data set", "got Endless"]),
        ("nothing", ["a training and a test data set", "a tuple of 2"]),
        ("number", ["training set", "got int"]),
        ("raises", ["RuntimeError: no such disk"]),
        ("broken", ["training set", "item 0", "OSError: disk gone"]),
        ("empty", ["training set", "none"]),
        ("large", ["item 0", "[0, 1]", "7"]),
        ("flat", ["item 0", "(1 or 3, h, w)", "(4, 4)"]),
        ("last", ["item 0", "(1 or 3, h, w)", "(4, 4, 3)"]),
        ("text", ["item 0", "tensor", "got str"]),
        ("sizes", ["item 1", "(1, 4, 4)", "(1, 5, 4)"]),
        ("triple", ["item 0", "(image, label)", "a tuple of 3"]),
        ("half", ["item 0", "int", "got float"]),
        ("negative", ["training labels", "-19 to 0"]),
    ],
)
def test_function_errors(function: str, parts: list[str], module: str) -> None:
    refused(f"{module}:{function}", *parts, name=f"{module}:{function}")


def test_module_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused("expected a module no_such_module", str(tmp_path), name="no_such_module:f")
    write(tmp_path / "fails_on_import.py", b"import no_such_dependency")
    refused("importing", "ModuleNotFoundError", "no_such_dependency", name="fails_on_import:f")
    write(tmp_path / "no_syntax.py", b"def")
    refused("importing", "SyntaxError", name="no_syntax:f")


# --- batches ---------------------------------------------------------------------------------


def test_to_batch_repeats_grey_and_normalises() -> None:
    x = torch.from_numpy(noise(16, 1, 8, 8))
    batch = to_batch(x, 8, (0.25,), (0.5,))
    assert (batch.shape, batch.dtype) == ((16, 3, 8, 8), torch.float32)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(batch, ((x / 255 - 0.25) / 0.5).repeat(1, 3, 1, 1), atol=1e-6)
    assert torch.allclose(batch, to_batch(x / 255, 8, (0.25,), (0.5,)), atol=1e-6)


def test_to_batch_normalises_each_channel(digits: Data) -> None:
    x = torch.from_numpy(noise(64, 3, 8, 8))
    mean, std = (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)
    for channel in range(3):
        expected = (x[:, channel] / 255 - mean[channel]) / std[channel]
        assert torch.allclose(to_batch(x, 8, mean, std)[:, channel], expected, atol=1e-6)
    whole = to_batch(digits.train.x, 8, digits.mean, digits.std)
    assert whole.mean().item() == pytest.approx(0, abs=1e-4)
    assert whole.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("side", [4, 8, 12])
def test_resized_once_is_resized_by_the_batch(side: int) -> None:
    images = Images(torch.from_numpy(noise(40, 3, 8, 8)), torch.arange(40))
    small = resized(images, side)
    assert (small.x.shape, small.x.dtype) == ((40, 3, side, side), torch.uint8)
    assert small.y is images.y
    expected = to_batch(images.x, side, (0, 0, 0), (1, 1, 1))
    assert (to_batch(small.x, side, (0, 0, 0), (1, 1, 1)) - expected).abs().max() < 1.5 / 255


def test_resized_to_the_same_size_is_the_same_object(digits: Data) -> None:
    assert resized(digits.train, 8) is digits.train


def test_shrinking_averages() -> None:
    board = (torch.arange(64).view(8, 8) + torch.arange(8).view(8, 1)) % 2 * 255
    images = Images(board.to(torch.uint8).view(1, 1, 8, 8), torch.zeros(1, dtype=torch.int64))
    assert (resized(images, 4).x.int() - 127).abs().max() <= 24


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_augment_is_decided_by_the_generator(kind: torch.dtype) -> None:
    batch = torch.from_numpy(noise(32, 3, 16, 16)).to(kind)
    before = batch.clone()
    first = augment(batch, seeded(1), flip=True)
    torch.manual_seed(5)
    assert torch.equal(first, augment(batch, seeded(1), flip=True))
    assert not torch.equal(first, augment(batch, seeded(2), flip=True))
    assert (first.dtype, first.shape) == (kind, batch.shape)
    assert torch.equal(batch, before)


def test_augment_moves_by_up_to_an_eighth_and_reflects() -> None:
    line = torch.arange(16, dtype=torch.uint8)
    batch = torch.stack([line.expand(16, 16), line[:, None].expand(16, 16)]).repeat(200, 1, 1, 1)
    found = augment(batch, seeded(0), flip=False)
    steps = {tuple(row) for row in found[:, 0, 0].tolist()}
    columns = {tuple(column) for column in found[:, 1, :, 0].tolist()}
    padded = [2, 1, *range(16), 14, 13]
    assert steps == columns == {tuple(padded[start : start + 16]) for start in range(5)}


def test_augment_flips_half_of_the_images_if_at_all() -> None:
    line = torch.arange(7, dtype=torch.uint8)  # under eight pixels nothing moves
    batch = line.expand(1000, 3, 7, 7)
    found = augment(batch, seeded(0), flip=True)
    mirrored = (found[:, 0, 0, 0] == 6).float().mean().item()
    assert 0.45 < mirrored < 0.55
    assert torch.equal(found[:, 0, 0], found[:, 2, 6])  # all of an image, or nothing
    assert torch.equal(augment(batch, seeded(0), flip=False), batch)


def test_augment_of_oblong_and_single_pixels() -> None:
    for shape in ((2, 1, 8, 24), (2, 3, 1, 1)):
        assert augment(torch.from_numpy(noise(*shape)), seeded(0), flip=True).shape == shape


def test_loading_fashion_sized_arrays_is_fast(tmp_path: Path) -> None:
    x, y = noise(60_000, 28, 28), np.arange(60_000) % 10
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y)
    start = time.perf_counter()
    load_data(str(tmp_path / "a.npz"))
    assert time.perf_counter() - start < 5  # 0.4 s where nothing else runs
