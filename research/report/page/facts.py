"""How a sweep was run: what its manifest says, as names and values for the page."""

import json
from collections.abc import Mapping
from typing import Any

from research.plain_text import count_of
from research.report.read import (
    RunFolderData,
    is_asynchronous,
    named_divergences,
    rung_counts,
    swept_fields,
)
from research.report.settings import show

MOST_DIVERGED = 200  # rows of a table


def facts(run: RunFolderData) -> list[tuple[str, str]]:
    """How a run folder was made: command, time, machine and speed."""
    manifest = run.manifest
    sessions = len(manifest.get("sessions") or [])
    said = [
        ("status", manifest["status"]),
        ("command", manifest.get("command", "")),
        ("started", manifest.get("started", "")),
        ("finished", manifest.get("finished", "")),
        ("resumed", f"{sessions} times" if sessions else ""),
        ("folder", str(run.path.resolve())),
        ("device", _device(manifest.get("device") or {})),
        ("host", manifest.get("host", "")),
        ("git commit", _commit(manifest.get("git_commit"))),
        ("versions", ", ".join(f"{name} {version}" for name, version
                               in (manifest.get("versions") or {}).items())),
        *_costs(manifest),
        ("data", _data(manifest.get("data") or [])),
    ]  # fmt: skip
    return [(name, text) for name, text in said if text]


def given(run: RunFolderData) -> list[tuple[str, str]]:
    """Every config field and hyper-parameter that the user can give; of those that are swept, all
    values."""
    manifest = run.manifest
    axes = manifest["config_axes"] | manifest["hparams_axes"]
    fields = (manifest.get("config") or {}) | (manifest.get("hparams") or {})
    return [
        (name, ", ".join(show(one) for one in axes[name]) if name in axes else _value(value))
        for name, value in fields.items()
        if name != "off"  # which the experiment fills in, see `research.task.off_field`
    ]


def differing(runs: list[RunFolderData]) -> list[list[str]]:
    """The fields in which several folders were not given the same: the field, and what each has."""
    each = [dict(given(run)) for run in runs]
    names = dict.fromkeys(name for fields in each for name in fields)
    rows = [[name, *(fields.get(name, "-") for fields in each)] for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def diverged(run: RunFolderData) -> list[list[str]]:
    """The runs that became non-finite, as far as the manifest names them: a heading, and a row
    each; nothing where there are none."""
    named = named_divergences(run.manifest)
    names = ["run", "seed", "step", *swept_fields(run.manifest)]
    rows = [[_shown(one.get(name)) for name in names] for one in named[:MOST_DIVERGED]]
    return [names, *rows] if rows else []


def rungs(run: RunFolderData) -> list[list[str]]:
    """The rungs of a halving: a heading, and a row each; nothing where there are none."""
    found, names = rung_counts(run.manifest), ["rung", "ended at step", "settings", "trained on"]
    rows = [[str(one.rung), one.step, f"{one.settings:,}", f"{one.kept:,}"] for one in found]
    if is_asynchronous(run.manifest):
        names.append("batches")
        rows = [[*row, f"{one.batches:,}"] for row, one in zip(rows, found, strict=True)]
    return [names, *rows] if rows else []


def _costs(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The compile time and throughput of all jobs together."""
    results = manifest.get("results") or []
    compiled = [result["cost"]["compile_seconds"] for result in results if result.get("cost")]
    trained = sum(result.get("train_seconds") or 0 for result in results)
    speeds = [result["throughput"] for result in results if result.get("throughput")]
    said = [("compile time", f"{sum(compiled):.1f} s" if compiled else "")]
    said.append(
        ("training time", f"{trained:.1f} s in {count_of(len(results), 'job')}" if results else "")
    )
    if speeds:
        said.append(("throughput", "; ".join(_speed(speed, manifest) for speed in speeds[:8])))
    return said


def _speed(speed: Mapping[str, float], manifest: Mapping[str, Any]) -> str:
    text = f"{speed['steps_per_second']:,.0f} steps/s"
    if speed["work_per_second"] != speed["steps_per_second"]:
        text += f", {speed['work_per_second']:,.0f} {manifest['work_unit']}/s"
    if flops := speed.get("flops_per_second"):
        text += f", {flops / 1e9:,.3g} GFLOP/s"
    return text


def _device(device: Mapping[str, Any]) -> str:
    if not device:
        return ""
    platform = device.get("platform", "")
    kind = device.get("processor" if platform == "cpu" else "kind", "")
    return f"{device.get('count', 1)} x {platform} ({kind})"


def _commit(commit: Any) -> str:
    return commit if isinstance(commit, str) else json.dumps(commit) if commit else ""


def _data(data: list[Mapping[str, Any]]) -> str:
    """Returns the facts of the data that are short; the manifest has the long ones, too."""
    short: dict[str, None] = {}
    for one in data:
        for name, value in one.items():
            if isinstance(value, str | int | float) and value not in ("", None):
                short[f"{name} {show(value)[:40]}"] = None
    return ", ".join(short)


def _shown(value: Any) -> str:
    return "" if value is None else show(value)


def _value(value: Any) -> str:
    if isinstance(value, list):
        between = ", " if any(isinstance(one, str) for one in value) else "x"  # names, or widths
        return between.join(map(str, value)) or "none"
    return show(value)
