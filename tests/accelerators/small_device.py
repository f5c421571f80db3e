"""A device to compile for in tests: the CPU, with the facts of a slow and small accelerator."""

import jax
import numpy as np
from jax.sharding import Mesh

from research.accelerators import needs
from research.accelerators.devices import Device

SMALL = Device(
    name="small", description="a device", platform="cuda", topology="", memory_bytes=10_000_000,
    bytes_per_second=1e9, flops_per_second={"float32": 1e12}, cycles_per_second=0.0,
    launch_seconds=1e-6, source="", target="",
)  # fmt: skip


def compile_on_cpu(monkeypatch):
    """Has programs for any device compiled for the CPU."""
    mesh = Mesh(np.array(jax.devices()[:1]), ("run",))
    monkeypatch.setattr(needs, "mesh_of", lambda device: mesh)
