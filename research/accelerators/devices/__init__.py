"""Accelerators to compile for, by name: their facts, and a mesh of one that need not be there."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from research.errors import UserError, shortlist
from research.folders import files_in

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in files_in(FOLDER, "*.json"))
EXTRAS = {"cuda": "cuda13", "tpu": "tpu"}  # platform -> the extra that has its compiler


class Device(NamedTuple):
    """Facts of one accelerator.

    Attributes:
      name: by which it is asked for, such as h100.
      description: its full name.
      platform: cuda or tpu.
      topology: the smallest group of them that XLA compiles for.
      memory_bytes: of one.
      bytes_per_second: bandwidth of that memory.
      flops_per_second: precision -> the best of its matrix units.
      cycles_per_second: of a TPU, whose compiler estimates the cycles of an instruction; else 0.
      launch_seconds: how long a kernel takes to start; 0 where a program is one launch.
      source: where these are from.
      target: XLA's description of a GPU, a GpuTargetConfig as text; empty for a TPU.
    """

    name: str
    description: str
    platform: str
    topology: str
    memory_bytes: int
    bytes_per_second: float
    flops_per_second: Mapping[str, float]
    cycles_per_second: float
    launch_seconds: float
    source: str
    target: str


def read_device(name: str, flag: str = "--for") -> Device:
    """Returns the facts of a device that a flag names.

    Raises:
      UserError: for an unknown one, with the nearest that is known.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name.lower(), NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {shortlist(NAMES)}"
        raise UserError(f"{flag} {name}: no such device; {hint}")
    return Device(name, **json.loads((FOLDER / f"{name}.json").read_text("utf-8")))


def mesh_of(device: Device) -> Mesh:
    """Returns a mesh of one such device, to compile for; nothing can run on it.

    Raises:
      UserError: if the JAX here has no compiler for its platform.
    """
    from jax.experimental import topologies

    try:
        if device.platform == "cuda":
            topology = topologies.get_topology_desc(
                platform="cuda", topology_name=device.name, topology=device.topology,
                target_config=device.target,
            )  # fmt: skip
        else:
            topology = topologies.get_topology_desc(
                platform=device.platform, topology_name=device.topology
            )
    except (RuntimeError, NotImplementedError, ValueError) as error:
        extra = EXTRAS[device.platform]
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{device.name}: jax {jax.__version__} cannot compile for it here ({reason}); "
            f"install jax[{extra}]"
        ) from error
    return Mesh(np.array(topology.devices[:1]), ("run",))
