"""Part 3: what a launch costs, fitted to the throughputs, and what was predicted against measured.

No device is needed: launches were counted in the programs that part 2 timed.
"""

from collections.abc import Sequence

import numpy as np

from research.accelerators.devices import NAMES, Device, read_device
from research.accelerators.needs import StepLaunches, predict
from research.benchmark.gpu_check.processes import Found
from research.benchmark.gpu_check.results import PartResults
from research.plain_text import count_of

FULL = 0.5  # of the time that launches should take: a step that computes for longer is left out


def measure(part: PartResults) -> None:
    """Fits the cost of a launch and adds a row for each timing of part 2."""
    earlier = part.earlier.get("throughput", ())
    timings = [one for one in earlier if one["what"] == "training" and one["kernels"] is not None]
    if not timings:
        part.add({"skipped": "all of it: no launches were counted and timed"})
        return
    kind = part.machine["device"]["kind"]
    device = device_like(kind)
    bound = [one for one in timings if _is_bound_by_launches(one, device)]
    cost = fit_launch_seconds(bound or timings)
    part.add({
        "launch_seconds": cost, "fitted_to": len(bound or timings),
        "device": kind, "known_device": device.name if device else None,
        "assumed_launch_seconds": device.launch_seconds if device else None,
    })  # fmt: skip
    for one in timings:
        part.add(compare(one, cost, device))


def fit_launch_seconds(timings: Sequence[Found]) -> float:
    """Returns the seconds a launch for which launches alone explain the steps best: least squares
    of the relative errors, so that long steps do not outweigh short ones."""
    ratio = np.array([_launches(one) / one["seconds_per_step"] for one in timings])
    return float(ratio.sum() / (ratio**2).sum())


def compare(one: Found, launch_seconds: float, device: Device | None) -> Found:
    """Returns a row of predicted and measured seconds a step.

    Args:
      one: a timing.
      launch_seconds: what a launch was found to cost.
      device: the facts of the device, if they are known; without them only launches are counted.
    """
    launches = _launches(one)
    bound, seconds = "launches", launches * launch_seconds
    if device is not None:
        bound, seconds = at_best(one, device._replace(launch_seconds=launch_seconds))
    assumed = at_best(one, device)[1] if device is not None else None
    return {
        **{name: one[name] for name in ("case", "precision", "runs", "kernels", "copies")},
        "measured": one["seconds_per_step"],
        "predicted": seconds,
        "predicted_before": assumed,
        "bound": bound,
        "measured_over_predicted": one["seconds_per_step"] / seconds,
        "seconds_per_launch": one["seconds_per_step"] / launches,
    }


def at_best(one: Found, device: Device) -> tuple[str, float]:
    """Returns what bounds the step of a timing, and how many seconds it takes at least."""
    launches = StepLaunches(one["kernels"], one["copies"], one["waits"])
    flops, moved = one["flops_per_step"], one["bytes_per_step"]
    return predict(launches, flops, moved, one["precision"], device)


def device_like(kind: str) -> Device | None:
    """Returns the facts of a device by what JAX calls it; None if they are not known."""
    devices = [read_device(name) for name in NAMES]
    exact = [one for one in devices if one.description == kind]
    alike = [one for one in devices if one.name in kind.lower()]
    return next(iter([*exact, *alike]), None)


def _is_bound_by_launches(one: Found, device: Device | None) -> bool:
    """Whether a step computes and moves so little that launches should take most of its time."""
    if device is None or not device.launch_seconds:
        return one["runs"] <= 64
    bound, _ = at_best(one, device._replace(launch_seconds=FULL * device.launch_seconds))
    return bound == "launches" and one["runs"] <= 64


def _launches(one: Found) -> float:
    return max(1.0, one["kernels"] + one["copies"])


def describe(results: Sequence[Found]) -> list[str]:
    """Returns the fit, and a row for each timing."""
    lines = []
    for one in results:
        if "launch_seconds" in one:
            cost = 1e6 * one["launch_seconds"]
            fitted = count_of(one["fitted_to"], "timing")
            cpu = "; of a CPU, which launches nothing, it says little" * (one["device"] == "cpu")
            lines.append(f"a launch costs {cost:.2f} us, fitted to {fitted}{cpu}")
        else:
            lines.append(
                f"{one['case']}, {one['precision']}, {count_of(one['runs'], 'run')}: "
                f"{one['kernels'] + one['copies']:.1f} launches a step, measured "
                f"{1e6 * one['measured']:.1f} us, predicted {1e6 * one['predicted']:.1f} us "
                f"({one['bound']}): {one['measured_over_predicted']:.2f}x"
            )
    return lines
