"""Tests of checkpoints: saving, loading, damage and full disks."""

import ast
import errno
import json
import resource
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_dtypes
import numpy as np
import pytest

from research.errors import UserError
from research.runs import checkpoints
from research.runs.checkpoints import Checkpoints
from research.runs.tensors import named_leaves

FACTS = {"seen": 3, "position": {"files": 2, "rows": [1, 2.5, None]}, "name": "µ"}


class Moments(NamedTuple):
    count: Any
    first: Any
    none: Any = ()


class State(NamedTuple):
    params: Any
    moments: Moments
    buffer: Any
    draw: Any
    done: Any


def make_states(step=0, runs=3):
    """The states of three runs with random bits, which depend on `step`."""
    rng = np.random.default_rng(step)

    def bits(dtype, *shape):
        return rng.integers(0, 256, (runs, *shape, np.dtype(dtype).itemsize), np.uint8).view(dtype)[
            ..., 0
        ]

    nans = np.uint32([0x7FC12345, 0xFF800001, 0x80000000]).view(np.float32)  # the last one is -0
    small_nans = np.uint16([0x7FC1, 0xFF81, 0x8000]).view(ml_dtypes.bfloat16)
    return State(
        params={"net/a": {"kernel": bits(np.float32, 4, 5), "bias": nans}, "b": small_nans},
        moments=Moments(np.int32([step, -1, 2**31 - 1]), bits(ml_dtypes.bfloat16, 7)),
        buffer=(bits(np.uint8, 10, 3), np.full(runs, -0.0, np.float32)),
        draw=bits(np.uint32, 2),
        done=bits(np.uint8, 2) % 2 == 0,
    )


def save(folder, *steps):
    with Checkpoints(folder) as saving:
        for step in steps:
            saving.save(step, make_states(step), {**FACTS, "step": step})
            saving.wait()
        return saving


def assert_same_bits(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for name, leaf in named_leaves(found).items():
        other = named_leaves(expected)[name]
        assert isinstance(leaf, np.ndarray)
        assert (leaf.dtype, leaf.shape) == (other.dtype, other.shape), name
        assert leaf.tobytes() == other.tobytes(), name


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_states_come_back_bit_for_bit_with_what_was_saved_with_them(tmp_path):
    found = save(tmp_path / "job", 6, 9).latest(make_states())
    assert found.step == 9
    assert found.facts == {**FACTS, "step": 9}
    assert_same_bits(found.states, make_states(9))


def test_shapes_are_enough_to_read_them_in_another_process(tmp_path):
    save(tmp_path / "job", 6)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), make_states())
    with Checkpoints(tmp_path / "job") as again:
        assert_same_bits(again.load(6, shapes).states, make_states(6))


def test_states_without_entries_are_saved_too(tmp_path):
    states = {"empty": np.zeros((3, 0), np.float32), "w": np.ones(3, np.float32)}
    with Checkpoints(tmp_path / "job") as saving:
        saving.save(1, states, {})
        saving.wait()
        assert_same_bits(saving.latest(states).states, states)


def test_the_last_two_are_kept_and_can_both_be_read(tmp_path):
    saved = save(tmp_path / "job", 3, 6, 9, 12)
    assert saved.steps() == [9, 12]
    assert_same_bits(saved.load(9, make_states()).states, make_states(9))
    assert {path.name for path in (tmp_path / "job").iterdir()} == {"000000009", "000000012"}


def test_a_step_that_is_saved_again_is_replaced(tmp_path):
    save(tmp_path / "job", 6)
    with Checkpoints(tmp_path / "job") as saving:
        saving.save(6, make_states(1), {"again": True})
        saving.wait()
        found = saving.latest(make_states())
    assert found.facts == {"again": True}
    assert_same_bits(found.states, make_states(1))


def test_without_checkpoints_latest_is_none(tmp_path):
    with Checkpoints(tmp_path / "job") as saving:
        assert saving.steps() == []
        assert saving.latest(make_states()) is None
        saving.remove()
        saving.wait()
    assert not list(tmp_path.iterdir())


def test_leaving_the_context_waits_for_the_write(tmp_path, monkeypatch):
    write = checkpoints._write_state

    def slowly(*args):
        time.sleep(0.2)
        write(*args)

    monkeypatch.setattr(checkpoints, "_write_state", slowly)
    with Checkpoints(tmp_path / "job") as saving:
        saving.save(6, make_states(6), {})
        assert saving.steps() == []
    assert saving.steps() == [6]


def test_remove_deletes_all_checkpoints(tmp_path):
    save(tmp_path / "job", 6, 9).remove()
    assert not list(tmp_path.iterdir())


def test_steps_are_ordered_as_numbers_not_as_words(tmp_path):
    saved = save(tmp_path / "job", 999_999_998, 1_000_000_001)
    assert saved.steps() == [999_999_998, 1_000_000_001]
    assert saved.latest(make_states()).step == 1_000_000_001


def assert_refused(saved, says):
    """Checks that the checkpoint is refused and no file is removed."""
    before = contents(saved.folder)
    with pytest.raises(UserError, match=says):
        saved.latest(make_states())
    assert contents(saved.folder) == before


def flip(data, place):
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


DAMAGES = {
    "cut short": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
    "longer": lambda data: data + b"\n]",
    "missing": None,
    "first byte": lambda data: flip(data, 0),
    "middle byte": lambda data: flip(data, len(data) // 2),
    "last byte": lambda data: flip(data, -1),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_named(tmp_path, damage):
    saved = save(tmp_path / "job", 6, 9)
    files = contents(saved.folder / "000000009")
    assert len(files) > 3
    for path, data in files.items():
        if damage:
            path.write_bytes(damage(data))
        else:
            path.unlink()
        assert_refused(saved, "000000009 is damaged: .* to resume from the one of step 6$")
        path.write_bytes(data)
    assert saved.latest(make_states()).step == 9


def test_a_change_of_any_byte_of_the_facts_is_detected(tmp_path):
    saved = save(tmp_path / "job", 6, 9)
    path = saved.folder / "000000009" / "facts.json"
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(flip(data, place))
        try:
            saved.latest(make_states())
        except UserError as error:
            assert "000000009 is damaged" in str(error)  # noqa: PT017
        else:
            pytest.fail(f"read with byte {place} changed: {path.read_bytes()[place - 20 :][:40]}")


def test_after_removing_a_damaged_checkpoint_the_one_before_is_the_last(tmp_path):
    saved = save(tmp_path / "job", 6, 9)
    (saved.folder / "000000009" / "facts.json").unlink()
    assert_refused(saved, "move it away to resume from the one of step 6$")
    (saved.folder / "000000009").rename(saved.folder / "000000009.damaged")
    assert_same_bits(saved.latest(make_states()).states, make_states(6))
    shutil.rmtree(saved.folder / "000000006" / "state")
    assert_refused(saved, "000000006 is damaged: .* resume from the beginning$")


def test_a_damaged_checkpoint_is_overwritten_when_its_step_is_reached_again(tmp_path):
    saved = save(tmp_path / "job", 6, 9)
    (saved.folder / "000000009" / "facts.json").unlink()
    assert_same_bits(save(tmp_path / "job", 9).latest(make_states()).states, make_states(9))


OTHERS = [
    (lambda s: s._replace(draw=s.draw[:, :1]), "draw in .* is uint32"),
    (lambda s: s._replace(draw=s.draw.view(np.int32)), "draw in .* is uint32"),
    (lambda s: s._replace(moments=s.moments._replace(first=())), "moments/first should not be"),
    (lambda s: s._replace(params={**s.params, "c": s.draw}), "params/c is not in"),
    (lambda s: jax.tree.map(lambda leaf: leaf[:2], s), "is .*, not "),
]


@pytest.mark.parametrize(("change", "says"), OTHERS)
def test_the_states_of_another_configuration_are_refused(tmp_path, change, says):
    saved = save(tmp_path / "job", 6)
    with pytest.raises(UserError, match=f"{says}.*another configuration"):
        saved.latest(change(make_states()))


def test_a_partial_checkpoint_left_by_a_kill_is_ignored_and_removed(tmp_path):
    saved = save(tmp_path / "job", 6)
    left = saved.folder / ".0123456789abcdef.partial"
    shutil.copytree(saved.folder / "000000006", left)
    (left / "state.orbax-checkpoint-tmp").mkdir()
    assert saved.steps() == [6]
    assert saved.latest(make_states()).step == 6
    assert_same_bits(save(tmp_path / "job", 9).latest(make_states()).states, make_states(9))
    assert not left.exists()


def test_a_full_disk_raises_at_the_next_wait_and_keeps_earlier_checkpoints(tmp_path, monkeypatch):
    save(tmp_path / "job", 3, 6)

    def full(path, leaves):
        path.mkdir()
        (path / "some").write_bytes(b"of it")
        raise OSError(28, "No space left on device")

    with Checkpoints(tmp_path / "job") as saving:
        before = contents(saving.folder)
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "_write_state", full)
            saving.save(9, make_states(9), {})
            with pytest.raises(OSError, match="No space"):
                saving.wait()
            saving.save(9, make_states(9), {})
            with pytest.raises(OSError, match="No space"):
                saving.save(12, make_states(12), {})
        assert contents(saving.folder) == before
        assert not list(saving.folder.glob(".*"))
        saving.wait()  # it was told once
        saving.save(12, make_states(12), {})
        saving.wait()
        assert saving.steps() == [6, 12]


def test_a_failed_write_raises_os_error(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    states = {"w": np.random.default_rng(0).integers(0, 256, (3, 100_000), np.uint8)}
    with Checkpoints(tmp_path / "job") as saving:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        try:
            saving.save(6, states, {})
            with pytest.raises(OSError, match="File too large") as error:
                saving.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert error.value.errno == errno.EFBIG
        assert saving.steps() == []


@pytest.mark.parametrize(
    ("told", "number"),
    [
        ('NOT_FOUND: Error opening "zarr" driver: Error reading "d/6b"', errno.ENOENT),
        ("INTERNAL: writing [os_error_code='28'] failed", errno.ENOSPC),
    ],
)
def test_what_tensorstore_tells_of_the_machine_is_an_os_error(tmp_path, monkeypatch, told, number):
    """As where the folder is moved away while a thread writes into it."""
    import orbax.checkpoint

    def save(*_):
        raise ValueError(told)

    monkeypatch.setattr(orbax.checkpoint.PyTreeCheckpointer, "save", save)
    with Checkpoints(tmp_path / "job") as saved:
        saved.save(1, make_states(), FACTS)
        with pytest.raises(OSError) as error:  # noqa: PT011
            saved.wait()
    assert error.value.errno == number


def test_reading_a_checkpoint_never_unpickles():
    """No module imports `pickle` or allows NumPy to use it."""
    for path in Path(checkpoints.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "cloudpickle", "dill", "joblib", "marshal"}, path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", path


def test_facts_are_copied_at_the_moment_of_saving(tmp_path, monkeypatch):
    """Training continues during the write and appends to the lists that were passed."""
    write, clock = checkpoints._write_state, [1.0]

    def slowly(path, leaves):
        write(path, leaves)
        clock.append(2.0)

    monkeypatch.setattr(checkpoints, "_write_state", slowly)
    with Checkpoints(tmp_path / "job") as saving:
        saving.save(1, make_states(), {"clock": clock})
        saving.wait()
        assert saving.latest(make_states()).facts == {"clock": [1.0]}


def reseal(path, **changes):
    """Writes other facts of a checkpoint, and a digest that fits them, as anybody can."""
    content = json.loads((path / "facts.json").read_text())["content"] | changes
    sealed = {"content": content, "digest": checkpoints._digest_of(content)}
    (path / "facts.json").write_text(json.dumps(sealed))


def forged(folder, template=None, **changes):
    states = {"w": np.zeros(3, np.float32)}
    with Checkpoints(folder) as saving:
        saving.save(1, states, {})
        saving.wait()
        reseal(folder / "000000001", **changes)
        return saving.latest(states | (template or {}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"digests": {"/etc/passwd": "0"}}, "/etc/passwd is not what was written"),
        ({"digests": {"../../../etc/passwd": "0"}}, "etc/passwd is not what was written"),
        ({"digests": 3}, "digests: input should be a valid dictionary"),
        ({"leaves": {"w": 3}}, r"leaves\.w: input should be a valid list"),
        ({"leaves": {"w": ["float32", "3"]}}, "it belongs to another configuration"),
        ({"facts": []}, "facts: input should be a valid dictionary"),
        ({"step": "1"}, "step: input should be a valid integer"),
    ],
)
def test_forged_facts_are_refused_and_no_file_elsewhere_is_read(
    tmp_path, monkeypatch, changes, says
):
    read, digest = [], checkpoints._digest
    monkeypatch.setattr(checkpoints, "_digest", lambda path: read.append(path) or digest(path))
    with pytest.raises(UserError, match=says):
        forged(tmp_path / "job", **changes)
    assert all(path.is_relative_to(tmp_path) for path in read)


@pytest.mark.parametrize(
    ("leaves", "other"),
    [
        ({"w": ["float32", [4]]}, {"w": np.zeros(4, np.float32)}),
        ({"w": ["int32", [3]]}, {"w": np.zeros(3, np.int32)}),
        ({"v": ["float32", [3]], "w": ["float32", [3]]}, {"v": np.ones(3, np.float32)}),
    ],
)
def test_states_that_are_not_what_their_facts_say_are_refused(tmp_path, leaves, other):
    with pytest.raises(UserError, match=r"is damaged: leaf \d is another"):
        forged(tmp_path / "job", leaves=leaves, template=other)
