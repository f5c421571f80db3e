"""What a report says in sentences, for the terminal and for the page."""

from research.report.comparison import MOST_SEEDS, Comparison
from research.report.headline import interval_text
from research.report.selection import Selection
from research.report.sensitivity import Sensitivity
from research.report.summary import Line, Summary


def findings(summary: Summary) -> list[str]:
    """One sentence or two each, the most important first."""
    said = [_status(summary), _best(summary), *_honest(summary), _rivals(summary)]
    said += [*_matters(summary), *_pairs(summary), _diverged(summary)]
    return [sentence for sentence in said if sentence]


def _status(summary: Summary) -> str:
    going = [run for run in summary.runs if run.manifest["status"] != "finished"]
    return "; ".join(
        f"{run.path.resolve().name} is {run.manifest['status']}: this is how far it has come"
        for run in going
    )


def _best(summary: Summary) -> str:
    first = summary.lines[0]
    if first.iqm is None:
        return f"{summary.metric} has been measured in no finite run yet."
    score = f"{interval_text(first.iqm)} over {_count(len(first.scores), 'seed')}."
    if len(summary.lines) == 1:
        return f"The interquartile mean of {summary.metric} is {score}"
    return (
        f"Best of {len(summary.lines)} settings by {summary.metric}: {first.label}, with an "
        f"interquartile mean of {score}"
    )


def _honest(summary: Summary) -> list[str]:
    return [
        _of_run(summary, run, _honest_sentence(summary, run, selection))
        for run, selection in enumerate(summary.selections)
        if len(summary.of_run(run)) > 1
    ]


def _honest_sentence(summary: Summary, run: int, found: Selection | None) -> str:
    lines = summary.of_run(run)
    settings = sum(line.setting.last_step == lines[0].setting.last_step for line in lines)
    ended = " that came to the end" if settings < len(lines) else ""
    if found is None:
        return (
            f"The best of {settings} numbers is partly luck, and there are too few seeds (at least "
            "4 are needed) to choose a setting by some and to score it by others."
        )
    choice = (
        "both halves chose the same setting"
        if found.agreed
        else f"the halves chose {_setting(summary, found.chosen[0])} and "
        f"{_setting(summary, found.chosen[1])}"
    )
    return (
        f"Chosen among {settings} settings{ended} by half of the seeds and scored on the other "
        f"half, {summary.shown} is {interval_text(found.honest)}; {choice}. That is the figure to "
        f"report: the {float(found.apparent.estimate):.4g} of the best setting is over seeds that "
        "chose it."
    )


def _setting(summary: Summary, place: int) -> str:
    return f"({summary.lines[place].setting.label})"


def _rivals(summary: Summary) -> str:
    """Whom the best setting cannot be told from, and what it would take."""
    compared = [line for line in summary.lines if line.against_best]
    if not compared:
        return ""
    alike = [line for line in compared if _verdict(line) == "no difference"]
    if not alike:
        return f"It is told apart from all others, compared {_pairing(compared[0].against_best)}."
    said = f"It is not told apart from {len(alike)} of {len(compared)} others."
    return f"{said} {_needed(alike[0])}"


def _verdict(line: Line) -> str:
    return line.against_best.verdict if line.against_best else ""


def _needed(line: Line) -> str:
    """How many seeds would tell the two best apart."""
    comparison = line.against_best
    if comparison is None or comparison.seeds_needed is None:
        return f"Between it and {line.label} there is no difference at all."
    needed = f"{comparison.seeds_needed:,}"
    if comparison.seeds_needed >= MOST_SEEDS:
        needed = f"more than {needed}"
    return (
        f"To tell it from {line.label} four times in five, if the difference is what it looks "
        f"like, would take about {needed} seeds each; there are {len(line.scores)}. They were "
        f"compared {_pairing(comparison)}."
    )


def _pairing(comparison: Comparison | None) -> str:
    if comparison is None or not comparison.pairs:
        return "without pairing, as their seeds are not the same"
    correlated = comparison.correlation
    known = "" if correlated != correlated else f" (correlation of the pairs {correlated:.2f})"
    return f"seed by seed{known}"


def _matters(summary: Summary) -> list[str]:
    said = []
    for run, (fields, everything) in enumerate(summary.sensitivity):
        if fields:
            said.append(_of_run(summary, run, _shares(fields, everything)))
    return said


def _shares(fields: list[Sensitivity], everything: float) -> str:
    each = ", ".join(f"{field.name} {field.share:.0%}" for field in fields)
    together = f"; all together {everything:.0%}" if len(fields) > 1 else ""
    return (
        f"Of the spread of runs, by rank, hyper-parameters explain: {each}{together}. "
        "The rest is what seeds do."
    )


def _pairs(summary: Summary) -> list[str]:
    if not summary.pairs:
        return []
    first, second = (summary.runs[place].path.resolve().name for place in (0, 1))
    verdicts = [pair.comparison.verdict for pair in summary.pairs]
    if set(verdicts) == {"no difference"}:
        result = f"no difference in any of {_count(len(verdicts), 'setting')} that both have"
    else:
        counts = [f"{verdicts.count(word)} {word}" for word in ("better", "worse", "no difference")]
        result = f"of {_count(len(verdicts), 'setting')} that both have: {', '.join(counts)}"
        if len(verdicts) > 1:
            result += f"; by chance alone, {0.05 * len(verdicts):.2g} of them would seem to differ"
    how = _pairing(summary.pairs[0].comparison)
    return [f"{second} against {first}, compared {how}: {result}."]


def _diverged(summary: Summary) -> str:
    lost = sum(line.setting.left_out for line in summary.lines)
    runs = sum(line.setting.seeds for line in summary.lines)
    return f"{lost} of {runs} runs became non-finite and are left out." if lost else ""


def _of_run(summary: Summary, run: int, sentence: str) -> str:
    name = summary.run_name(run)
    return f"{name}: {sentence}" if name else sentence


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
