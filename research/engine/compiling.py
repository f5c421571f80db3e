"""Compiles a function of runs ahead of time, once for every set of shapes."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

SETTINGS = (  # of JAX, that change numbers or how they are rounded
    "jax_enable_x64", "jax_default_matmul_precision", "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion", "jax_disable_jit",
)  # fmt: skip


def jax_settings() -> dict[str, Any]:
    """Returns the settings of JAX that numbers depend on, as set by environment variables or in
    Python."""
    return {name: getattr(jax.config, name) for name in SETTINGS}


def compile_sharded(
    mesh: Mesh,
    call: tuple[Any, ...],
    specs: Sequence[P],
    args: tuple[Any, ...],
    donate: tuple[int, ...] = (),
    places: Any = None,
    whole: bool = False,
) -> tuple[Callable[..., Any], Any]:
    """Returns a compiled function, sharded over the mesh, and the shapes of what it returns.

    Kept in memory: a second sweep of the same task, as in a notebook, compiles only what differs.

    Args:
      mesh: the devices to shard the run axis over.
      call: a function, then its static arguments.
      specs: which of its other arguments have a run axis.
      args: their shapes.
      donate: which of them it may overwrite.
      places: (of arguments, of results), trees of shardings or of layouts in memory as `jax.jit`
        takes them; None leaves results to the compiler, and arguments lie as their shapes say.
      whole: whether the function sees all runs, and may move something between devices; else
        each device's own.
    """
    leaves, treedef = jax.tree.flatten(args)
    settings = tuple(jax_settings().items())
    wanted, wanted_treedef = jax.tree.flatten(places)
    key = (mesh, call, tuple(specs), treedef, tuple(leaves), donate, whole)
    return _compile_once(*key, wanted_treedef, tuple(wanted), settings)


@lru_cache(maxsize=64)
def _compile_once(
    mesh, call, specs, treedef, leaves, donate, whole, places_treedef, places_leaves, settings
):
    del settings  # of JAX, which tracing and compiling read
    args = jax.tree.unflatten(treedef, leaves)
    places = jax.tree.unflatten(places_treedef, places_leaves)
    # shard_map, not a sharded vmap: each device runs the plain program on its own lanes, so no
    # collective can arise.
    mapped = partial(*call)
    if not whole:
        mapped = jax.shard_map(
            mapped, mesh=mesh, in_specs=specs, out_specs=P("run"), check_vma=False
        )
    where = {"in_shardings": places[0], "out_shardings": places[1]} if places else {}
    lowered = jax.jit(mapped, donate_argnums=donate, **where).lower(*args)
    out = NamedSharding(mesh, P() if whole else P("run"))
    return lowered.compile(), shapes_of(lowered.out_info, out)


def shapes_of(tree: Any, sharding: NamedSharding) -> Any:
    """Returns the shapes of a tree of arrays, to compile for without allocating them."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def forget_programs() -> None:
    """Frees every compiled program, as if the process had just begun."""
    _compile_once.cache_clear()
    jax.clear_caches()


class CacheHits:
    """Counts, while open, the programs that come from the compilation cache."""

    def __enter__(self):
        self.hits = 0
        jax.monitoring.register_event_listener(self._listen)
        return self

    def __exit__(self, *_):
        jax.monitoring.unregister_event_listener(self._listen)

    def _listen(self, event: str, **_):
        self.hits += event == "/jax/compilation_cache/cache_hits"
