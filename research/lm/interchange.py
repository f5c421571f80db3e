"""Conversion of params to and from PyTorch's layout.

The layout is the `state_dict` of a module with `embedding = nn.Embedding(V, E)`, `lstm = nn.LSTM(E,
H, layers)` and `decoder = nn.Linear(H, V)`; with tied weights, a `projection = nn.Linear(H, E,
bias=False)` may precede the decoder. The order of the gates, i, f, g, o, is the same. PyTorch adds
two biases: the first is set to ours, the second to 0.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from research.errors import UserError, shortlist


def to_torch(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The params in the layout of a PyTorch `state_dict`.

    Raises:
      UserError: for coupled gates or layers of different widths, which `nn.LSTM` does not support.
    """
    params = {name: np.asarray(leaf) for name, leaf in params.items()}
    widths = [len(params[f"lstm_{layer}_recurrent"]) for layer in range(_layers(params))]
    if len(params["lstm_0_bias"]) != 4 * widths[0]:
        raise UserError("PyTorch's nn.LSTM has no coupled gates: train with --coupled False")
    if len(set(widths)) > 1:
        raise UserError(f"PyTorch's nn.LSTM has layers of one width, not {shortlist(widths)}")
    state = {"embedding.weight": params["embedding"]}
    for layer in range(len(widths)):
        bias = params[f"lstm_{layer}_bias"]
        state |= {
            f"lstm.weight_ih_l{layer}": params[f"lstm_{layer}_input"].T,
            f"lstm.weight_hh_l{layer}": params[f"lstm_{layer}_recurrent"].T,
            f"lstm.bias_ih_l{layer}": bias,
            f"lstm.bias_hh_l{layer}": np.zeros_like(bias),
        }
    if "projection" in params:
        state["projection.weight"] = params["projection"].T
    state["decoder.weight"] = params.get("softmax", params["embedding"])
    state["decoder.bias"] = params["softmax_bias"]
    return {name: np.ascontiguousarray(leaf) for name, leaf in state.items()}


def from_torch(state: Mapping[str, Any], tied: bool = False) -> dict[str, np.ndarray]:
    """The params of a `state_dict`, its two biases summed.

    Args:
      state: name -> array, as `to_torch` returns it.
      tied: whether the weight of the decoder is that of the embedding.

    Raises:
      UserError: naming tensors that are missing.
    """
    state = {name: np.asarray(leaf) for name, leaf in state.items()}
    layers = sum(name.startswith("lstm.weight_hh_l") for name in state)
    needed = ["embedding.weight", "decoder.weight", "decoder.bias", "lstm.weight_hh_l0"]
    needed += [f"lstm.{part}_l{layer}" for layer in range(layers)
               for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]  # fmt: skip
    if missing := [name for name in needed if name not in state]:
        raise UserError(f"no {shortlist(missing)} among the tensors {shortlist(sorted(state))}")
    params = {"embedding": state["embedding.weight"], "softmax_bias": state["decoder.bias"]}
    for layer in range(layers):
        params |= {
            f"lstm_{layer}_input": state[f"lstm.weight_ih_l{layer}"].T,
            f"lstm_{layer}_recurrent": state[f"lstm.weight_hh_l{layer}"].T,
            f"lstm_{layer}_bias": state[f"lstm.bias_ih_l{layer}"] + state[f"lstm.bias_hh_l{layer}"],
        }
    if not tied:
        params["softmax"] = state["decoder.weight"]
    if "projection.weight" in state:
        params["projection"] = state["projection.weight"].T
    return params


def save_torch(path: str | os.PathLike[str], params: Mapping[str, Any]) -> None:
    """Writes `to_torch(params)` as safetensors, which `safetensors.torch.load_file` reads."""
    safetensors.numpy.save_file(to_torch(params), path)


def load_torch(path: str | os.PathLike[str], tied: bool = False) -> dict[str, np.ndarray]:
    """The params in a file of `save_torch`, or of `safetensors.torch.save_file` of a `state_dict`.

    Raises:
      UserError: if the file does not exist, is damaged, or lacks a tensor.
    """
    try:
        return from_torch(safetensors.numpy.load_file(path), tied)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"cannot read {path} as safetensors: {error}") from None


def _layers(params: Mapping[str, Any]) -> int:
    return sum(name.endswith("_recurrent") for name in params)
