"""The result table in the terminal."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from research.report.read import RunFolderData, swept, twin_of
from research.report.settings import Setting, final_score, rank_of, reached, settings, show
from research.sweep.ranking import Rank


def print_table(run: RunFolderData, console: Console) -> None:
    """One line a setting, the best by the key metric on top."""
    manifest = run.manifest
    metric, higher = manifest["key_metric"], manifest["higher_is_better"]
    found = list(settings(run))

    def place(setting: Setting) -> tuple[int, Rank]:
        return (-setting.last_step if rungs else 0), rank_of(setting, metric, higher)

    rungs = manifest.get("rungs", [])
    metrics, goal = headline_metrics(run), common_goal(manifest)
    table = Table(title=f"{run.path.name} at the last step", box=box.SIMPLE_HEAD, padding=0)
    for name in [*swept(manifest), "seeds", *(["steps"] if rungs else [])]:
        table.add_column(name, justify="right")
    for name in metrics:
        table.add_column(f"{name}\nmedian IQM [95%]", justify="right")
    if goal is not None:
        table.add_column(f"reached\n{show(goal)}", justify="right")
    for setting in sorted(found, key=place):
        cells = [show(value) for value in setting.values.values()]
        finite = setting.seeds - setting.left_out
        cells.append(f"{finite} of {setting.seeds}" if setting.left_out else str(finite))
        cells += [f"{setting.last_step:,}"] if rungs else []
        cells += [_cell(setting, name) for name in metrics]
        if goal is not None:
            count = reached(setting, metric, goal, manifest["higher_is_better"])
            cells.append(f"{count} of {setting.seeds}")
        table.add_row(*cells)
    console.print(table)
    console.print(
        f"IQM: interquartile mean over seeds, its 95% bootstrap interval. Ordered by {metric}."
    )
    if rungs:
        console.print(
            "Successive halving: settings were compared where others end, and the best of them "
            "trained on. Compare those of equal steps only."
        )
    if left_out := sum(setting.left_out for setting in found):
        console.print(
            f"Left out: {left_out} runs that became non-finite; manifest.json names them."
        )
    if manifest["status"] != "finished":
        console.print(f"This run is {manifest['status']}: the table shows how far it has come.")


def headline_metrics(run: RunFolderData) -> Sequence[str]:
    """The key metric, and the same on the test part where there is one."""
    key = run.manifest["key_metric"]
    return list(dict.fromkeys([key, twin_of([run], key)]))


def common_goal(manifest: dict[str, Any]) -> float | None:
    """The value of the key metric that solves every group's problem, if there is one."""
    goals = {group["goal"] for group in manifest["groups"]}
    return goals.pop() if len(goals) == 1 else None


def _cell(setting: Setting, metric: str) -> str:
    score = final_score(setting, metric)
    if score is None:
        return "none finite" if setting.all_diverged else "not measured"
    median, (iqm, low, high) = score
    return f"{median:.4g} {float(iqm):.3g} [{float(low):.3g}, {float(high):.3g}]"
