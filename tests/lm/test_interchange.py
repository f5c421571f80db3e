"""Tests of converting params to PyTorch's layout and back; `test_model.py` compares the models."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from research.errors import UserError
from research.lm.interchange import from_torch, load_torch, save_torch, to_torch


def params(widths=(5, 5), gates=4, tied=False, embedding=5):
    random = np.random.default_rng(0)
    draw = lambda *shape: random.normal(size=shape).astype(np.float32)
    found = {"embedding": draw(11, embedding), "softmax_bias": draw(11)}
    before = embedding
    for layer, width in enumerate(widths):
        found |= {
            f"lstm_{layer}_input": draw(before, gates * width),
            f"lstm_{layer}_recurrent": draw(width, gates * width),
            f"lstm_{layer}_bias": draw(gates * width),
        }
        before = width
    if not tied:
        found["softmax"] = draw(11, before)
    elif embedding != before:
        found["projection"] = draw(before, embedding)
    return found


@pytest.mark.parametrize(("tied", "embedding"), [(False, 3), (True, 5), (True, 3)])
def test_conversion_to_pytorch_and_back_is_lossless(tmp_path, tied, embedding):
    before = params(tied=tied, embedding=embedding)
    save_torch(tmp_path / "model.safetensors", before)
    after = load_torch(tmp_path / "model.safetensors", tied=tied)
    assert set(after) == set(before)
    for name, leaf in before.items():
        np.testing.assert_array_equal(after[name], leaf)


def test_the_two_biases_of_pytorch_are_summed():
    state = to_torch(params())
    state["lstm.bias_hh_l1"] = state["lstm.bias_ih_l1"] + 1
    np.testing.assert_allclose(
        from_torch(state)["lstm_1_bias"], 2 * state["lstm.bias_ih_l1"] + 1, rtol=1e-6
    )


def test_converted_tensors_have_the_shapes_of_pytorch():
    shapes = {name: leaf.shape for name, leaf in to_torch(params(embedding=3)).items()}
    assert shapes == {
        "embedding.weight": (11, 3), "decoder.weight": (11, 5), "decoder.bias": (11,),
        "lstm.weight_ih_l0": (20, 3), "lstm.weight_hh_l0": (20, 5),
        "lstm.bias_ih_l0": (20,), "lstm.bias_hh_l0": (20,),
        "lstm.weight_ih_l1": (20, 5), "lstm.weight_hh_l1": (20, 5),
        "lstm.bias_ih_l1": (20,), "lstm.bias_hh_l1": (20,),
    }  # fmt: skip


def test_options_that_pytorch_lacks_give_an_error():
    with pytest.raises(UserError, match="no coupled gates"):
        to_torch(params(gates=3))
    with pytest.raises(UserError, match="one width, not 5, 6"):
        to_torch(params(widths=(5, 6)))


def test_an_unreadable_pytorch_file_gives_an_error(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match=r"cannot read .*model.safetensors"):
        load_torch(path)
    save_torch(path, params())
    state = load_file(path)
    del state["lstm.bias_hh_l1"]
    save_file(state, path)
    with pytest.raises(UserError, match=r"no lstm.bias_hh_l1 among the tensors"):
        load_torch(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"cannot read .*model.safetensors"):
        load_torch(path)
