"""Tests of saving and loading pytrees as safetensors."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open

from research.errors import UserError
from research.runs.tensors import load_tensors, load_tree, named_leaves, nested, save_tree

TREE = {
    "params": {"kernel": np.float32([[1.5, np.nan], [-0.0, np.inf]]), "bias": np.zeros(0, np.int8)},
    "opt": (np.uint32(7), jnp.asarray([1.5, 2.5], jnp.bfloat16)),
}


def test_every_leaf_comes_back_with_its_bits_and_type(tmp_path):
    save_tree(tmp_path / "tree", TREE)
    loaded = load_tree(tmp_path / "tree", TREE)
    chex.assert_trees_all_equal_shapes_and_dtypes(loaded, TREE)
    for name, leaf in named_leaves(loaded).items():
        assert leaf.tobytes() == np.asarray(named_leaves(TREE)[name]).tobytes()


def test_leaves_are_named_by_their_path(tmp_path):
    save_tree(tmp_path / "tree", TREE, {"step": 3})
    with safe_open(tmp_path / "tree", framework="numpy") as file:
        assert set(file.keys()) == {"params/kernel", "params/bias", "opt/0", "opt/1"}
        assert file.metadata() == {"step": "3"}


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ({**TREE, "more": np.zeros(1)}, "more is not in"),
        ({"params": TREE["params"]}, "opt/0 should not be in"),
        ({**TREE, "opt": (np.uint32(7), np.zeros(2, np.float32))}, "opt/1 .* bfloat16"),
        ({**TREE, "opt": (np.zeros(3, np.uint32), TREE["opt"][1])}, r"opt/0 .* uint32\[\]"),
    ],
)
def test_another_configuration_is_refused(tmp_path, template, says):
    save_tree(tmp_path / "tree", TREE)
    with pytest.raises(UserError, match=says):
        load_tree(tmp_path / "tree", template)


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_a_file_cut_short_is_refused(tmp_path, keep):
    save_tree(tmp_path / "tree", TREE)
    data = (tmp_path / "tree").read_bytes()
    (tmp_path / "tree").write_bytes(data[:keep])
    with pytest.raises(UserError, match="damaged"):
        load_tree(tmp_path / "tree", TREE)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no file .*nothing"):
        load_tree(tmp_path / "nothing", TREE)


def test_nested_dicts_need_no_template(tmp_path):
    params = {"Dense_0": {"kernel": np.arange(12.0).reshape(3, 2, 2), "bias": np.arange(6.0)}}
    save_tree(tmp_path / "params", params)
    chex.assert_trees_all_equal(nested(load_tensors(tmp_path / "params")), params)
