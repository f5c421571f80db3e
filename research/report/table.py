"""The result table in the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from research.console import print_paragraph, print_table
from research.report.ranking import final_scores, order
from research.report.read import RunFolderData, swept, twin_of
from research.report.settings import Setting, final_score, reached, settings, show


def print_settings(run: RunFolderData, console: Console) -> None:
    """One line a setting, the best by the key metric on top."""
    manifest, found = run.manifest, list(settings(run))
    metric, higher = manifest["key_metric"], manifest["higher_is_better"]
    rungs = manifest.get("rungs", [])
    metrics, goal = headline_metrics(run), common_goal(manifest)
    rank = lambda setting: order(setting, final_scores(setting, metric), higher, goal)
    names = [*swept(manifest), "seeds", *(["steps"] if rungs else [])]
    names += [f"{name}\nmedian IQM [95%]" for name in metrics]
    names += [] if goal is None else [f"reached\n{show(goal)}"]
    rows = []
    for setting in sorted(found, key=rank):
        cells = [show(value) for value in setting.values.values()]
        finite = setting.seeds - setting.left_out
        cells.append(f"{finite} of {setting.seeds}" if setting.left_out else str(finite))
        cells += [f"{setting.last_step:,}"] if rungs else []
        cells += [_cell(setting, name) for name in metrics]
        if goal is not None:
            count = reached(setting, metric, goal, higher)
            cells.append(f"{count} of {setting.seeds}")
        rows.append(cells)
    title = f"{run.path.name} at the last step"
    print_table(console, names, rows, title=title, wrap=True)
    print_paragraph(
        console,
        f"IQM: interquartile mean over seeds, its 95% bootstrap interval. Ordered by {metric}.",
    )
    if rungs:
        print_paragraph(
            console,
            "Successive halving: settings were compared where others end, and the best of them "
            "trained on. Compare those of equal steps only.",
        )
    if left_out := sum(setting.left_out for setting in found):
        print_paragraph(
            console,
            f"Left out: {left_out} {'run' if left_out == 1 else 'runs'} that became non-finite; "
            "manifest.json names them. In the order of settings they count as the worst.",
        )
    if manifest["status"] != "finished":
        note = f"This run is {manifest['status']}: the table shows how far it has come."
        print_paragraph(console, note)


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
