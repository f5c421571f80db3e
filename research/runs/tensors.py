"""Writes pytrees of arrays to safetensors and reads them: numbers and names only, so that reading
runs no code."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from research.atomic import write_bytes
from research.errors import UserError
from research.folders import check_is_file
from research.recorded import Recorded, checked

# The last one is of a dtype that NumPy lacks.
OF_DAMAGED = (ValueError, TypeError, RecursionError, OSError, AttributeError)


def save_tree(path: str | os.PathLike[str], tree: Any, facts: dict[str, Any] | None = None) -> None:
    """Writes every leaf under its path in the tree, such as `params/Dense_0/kernel`.

    Args:
      path: of the file, replaced atomically.
      tree: a pytree of arrays, without typed keys.
      facts: JSON values, kept as the file's metadata.
    """
    tensors = {name: np.asarray(leaf, order="C") for name, leaf in named_leaves(tree).items()}
    metadata = {name: json.dumps(value) for name, value in (facts or {}).items()}
    write_bytes(path, save(tensors, metadata))


def load_tree(path: str | os.PathLike[str], template: Any) -> Any:
    """Reads what `save_tree` wrote, bit for bit, into the structure of `template`.

    Args:
      path: of the file.
      template: a pytree of arrays or `jax.ShapeDtypeStruct`.

    Raises:
      UserError: if the file is missing or damaged, or a name, shape or dtype differs.
    """
    tensors = load_tensors(path)
    found = {name: (str(leaf.dtype), leaf.shape) for name, leaf in tensors.items()}
    check_like(found, template, path)
    expected = named_leaves(template)
    return jax.tree.unflatten(jax.tree.structure(template), [tensors[name] for name in expected])


def check_like(
    found: Mapping[str, tuple[str, Sequence[int]]], template: Any, path: str | os.PathLike[str]
) -> None:
    """Compares names, dtypes and shapes of a file with those of a tree.

    Args:
      found: name -> dtype and shape.
      template: a pytree of arrays or `jax.ShapeDtypeStruct`.
      path: of the file.

    Raises:
      UserError: naming the first that differs.
    """
    expected = named_leaves(template)
    if odd := sorted(set(found) ^ set(expected)):
        where = "is not in" if odd[0] in expected else "should not be in"
        raise UserError(
            f"{odd[0]} {where} {path}: it belongs to another configuration, or another version "
            "saved it; the run folder's manifest.json has its git_commit"
        )
    for name, leaf in expected.items():
        dtype, shape = found[name]
        if tuple(shape) != tuple(leaf.shape) or dtype != str(leaf.dtype):
            raise UserError(
                f"{name} in {path} is {dtype}{list(shape)}, not {leaf.dtype}{list(leaf.shape)}: "
                "it belongs to another configuration"
            )


def nested(tensors: Mapping[str, np.ndarray]) -> Any:
    """Returns nested dicts of arrays from their paths, as `load_tensors` returns them."""
    return traverse_util.unflatten_dict(
        {tuple(name.split("/")): leaf for name, leaf in tensors.items()}
    )


def load_facts(path: str | os.PathLike[str], schema: type[Recorded]) -> dict[str, Any]:
    """Returns the facts that `save_tree` was given, without reading any tensor.

    Raises:
      UserError: if the file is missing, cut short or altered, or they do not fit the schema.
    """
    with _opened(path) as file:
        facts = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
    return checked(facts, schema, Path(path))


def load_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns all tensors of a safetensors file by name.

    Raises:
      UserError: if the file is missing, cut short or altered.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    try:
        check_is_file(Path(path))
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"no file {path}") from None
    except (SafetensorError, *OF_DAMAGED) as error:
        raise UserError(f"{path} is damaged or no safetensors file: {error}") from error


def named_leaves(tree: Any) -> dict[str, Any]:
    """Returns the leaves by path, in the tree's own order."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
