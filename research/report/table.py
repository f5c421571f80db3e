"""The result table in the terminal."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from research.report.ranking import final_scores, order
from research.report.read import RunFolderData, swept, twin_of
from research.report.settings import Setting, final_score, reached, settings, show


def print_table(run: RunFolderData, console: Console) -> None:
    """One line a setting, the best by the key metric on top."""
    manifest, found = run.manifest, list(settings(run))
    metric, higher = manifest["key_metric"], manifest["higher_is_better"]
    rungs = manifest.get("rungs", [])
    metrics, goal = headline_metrics(run), common_goal(manifest)
    rank = lambda setting: order(setting, final_scores(setting, metric), higher, goal)
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
            count = reached(setting, metric, goal, higher)
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
            f"Left out: {left_out} {'run' if left_out == 1 else 'runs'} that became non-finite; "
            "manifest.json names them. In the order of settings they count as the worst."
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
    if setting.seeds - setting.left_out == 1:
        return f"{median:.4g}"  # a single seed has no interval
    return f"{median:.4g} {float(iqm):.3g} [{float(low):.3g}, {float(high):.3g}]"
