"""The findings of a report as sentences, for the terminal and for the page."""

import math
from collections.abc import Sequence

from research.plain_text import in_digits
from research.report.comparison import MOST_SEEDS, NOT_RESOLVED, SAME, VERDICTS, Comparison
from research.report.confirmed import in_words, read_confirmed
from research.report.read import RunFolderData
from research.report.selection import Selection
from research.report.sensitivity import Sensitivity, in_percent
from research.report.summary import Line, Summary
from research.report.table import interval_text, score_text
from research.report.time_to_goal import conditions_in_words, half_in_words, typical_work
from research.runs.early_stop import Condition, stops_in_words


def findings(summary: Summary) -> list[str]:
    """The findings in a summary, of one or two sentences each, the most important first."""
    said = [_status(summary), _best(summary), *_confirmed(summary)]
    said += [*_stopped(summary), _half(summary), _ties(summary), *_selections(summary)]
    said += [_resolved(summary), _not_compared(summary)]
    said += [*_sensitivity(summary), *_pairs(summary), _diverged(summary)]
    return [sentence for sentence in said if sentence]


def _status(summary: Summary) -> str:
    unfinished = [run for run in summary.runs if run.manifest["status"] != "finished"]
    return "; ".join(
        f"{run.path.resolve().name} is {run.manifest['status']}: this is how far it has come"
        for run in unfinished
    )


def _best(summary: Summary) -> str:
    first = summary.lines[0]
    if first.iqm is None:
        return f"{summary.metric} has been measured in no finite run yet."
    lost = first.setting.left_out
    score = f"{score_text(first.iqm, first)} over {_count(len(first.scores), 'seed')}"
    score += f" ({_count(lost, 'other run')} diverged)." if lost else "."
    if summary.by_work and len(summary.lines) > 1:
        work = typical_work(first.setting, first.work)
        return (
            f"Best of {len(summary.lines)} settings by {summary.judged_by}: {first.label}, with an "
            f"interquartile mean of {work:,.0f}; that of {summary.metric} is {score}"
        )
    if len(summary.lines) == 1:
        return f"The interquartile mean of {summary.metric} is {score}"
    return (
        f"Best of {len(summary.lines)} settings by {summary.metric}: {first.label}, with an "
        f"interquartile mean of {score}"
    )


def _confirmed(summary: Summary) -> list[str]:
    """What each folder confirmed with other seeds; of populations that did not, that their score is
    one of many."""
    said = []
    for run, data in enumerate(summary.runs):
        found = [f"{in_words(one)}." for one in read_confirmed(data.path)]
        if not found and data.decisions is not None:
            found = [
                "Each population counts as its best member, chosen by the score that is shown, "
                "which is too good: --confirm N scores it on N other seeds."
            ]
        said += [_of_run(summary, run, one[0].upper() + one[1:]) for one in found]
    return said


def _stopped(summary: Summary) -> list[str]:
    """What was stopped early, of each folder."""
    return [
        _of_run(summary, run, said)
        for run, data in enumerate(summary.runs)
        if (said := stops_of_run(data))
    ]


def stops_of_run(run: RunFolderData) -> str:
    """What was stopped early in a folder, and what that means for scores and for the order of
    settings; empty where nothing was."""
    if not run.stopped:
        return ""
    steps = {}
    for group in run.manifest["groups"]:
        numbers = range(group["first_run"], group["first_run"] + group["runs"])
        steps |= dict.fromkeys(numbers, group.get("steps") or 0)
    saved = sum(max(steps.get(one, 0) - step, 0) for one, (step, _) in run.stopped.items())
    reasons = [why for _, why in run.stopped.values()]
    said = stops_in_words(reasons, len(steps), saved / max(sum(steps.values()), 1))
    if when := run.manifest["early_stop"]["when"]:
        said += f" ({Condition(**{name: when[name] for name in Condition._fields}).words})"
    said += ". The score of a run that stopped is that at its stop."
    if stops_at_goal(run):
        unit = run.manifest["work_unit"]
        said += (
            f" Settings are ordered by the {unit} that their runs took until then, as "
            f"interquartile means; a run that did not stop there counts with all of its {unit}."
        )
    return said


def stops_at_goal(run: RunFolderData) -> bool:
    """Whether some runs of a folder stopped, and runs stop where they reach a goal."""
    early_stop = run.manifest.get("early_stop") or {}
    return bool(run.stopped and (early_stop.get("at_goal") or early_stop.get("when")))


def _half(summary: Summary) -> str:
    """How long the runs of the best setting took to their goal."""
    first = summary.lines[0]
    found, unit = first.time_to_goal, summary.runs[first.run].manifest["work_unit"]
    if found is None or not found.reached:
        return ""
    goal = conditions_in_words(first.setting.conditions)
    whose = "the runs" if len(summary.lines) == 1 else "the runs of the best setting"
    count = f"{found.reached} of {found.runs} reached it"
    if math.isinf(float(found.half.estimate)):
        return f"Fewer than half of {whose} reached {goal} ({found.reached} of {found.runs})."
    return f"Half of {whose} had reached {goal} after {half_in_words(found)} {unit} ({count})."


def _ties(summary: Summary) -> str:
    """Settings whose interquartile mean is that of the best, and why it comes before them."""
    first, *others = summary.lines
    tied = [line for line in others if first.comparable and _score(line) == _score(first)]
    if not tied:
        return ""
    share, mean = (
        any(getattr(line.merit, name) != getattr(first.merit, name) for line in tied)
        for name in ("reached", "mean")
    )
    same = [line for line in tied if line.merit == first.merit]
    by = ["the share of runs that reached the goal"] if share else []
    by += ["the mean"] if mean else []
    order = f" They are ordered by {' and then by '.join(by)}." if by else ""
    arbitrary = (
        f" Which of it and {_count(len(same), 'other')} comes first is arbitrary." if same else ""
    )
    verb = "has" if len(tied) == 1 else "have"
    return f"{_count(len(tied), 'other')} {verb} the same interquartile mean.{order}{arbitrary}"


def _score(line: Line) -> tuple[int, float, float]:
    return line.setting.last_step, typical_work(line.setting, line.work), line.merit.iqm


def _selections(summary: Summary) -> list[str]:
    return [
        _of_run(summary, run, _selection(summary, run, selection))
        for run, selection in enumerate(summary.selections)
        if len(summary.of_run(run)) > 1
    ]


def _selection(summary: Summary, run: int, found: Selection | None) -> str:
    lines = summary.of_run(run)
    settings = sum(line.setting.last_step == lines[0].setting.last_step for line in lines)
    ended = " that came to the end" if settings < len(lines) else ""
    if found is None:
        few = max(line.setting.seeds for line in lines) < 4
        why = "too few seeds (at least 4 are needed)" if few else "too few finite runs"
        return (
            f"The best of {settings} numbers is partly luck, and there are {why} to choose a "
            "setting by some seeds and to score it by others."
        )
    shown = summary.judged_by if summary.by_work else summary.shown
    choice = (
        "both halves chose the same setting"
        if found.agreed
        else f"the halves chose {_setting(summary, found.chosen[0])} and "
        f"{_setting(summary, found.chosen[1])}"
    )
    return (
        f"Chosen among {settings} settings{ended} by half of the seeds and scored on the other "
        f"half, {shown} is {interval_text(found.held_out)}; {choice}. That is the number "
        f"to report: the {in_digits(float(found.apparent.estimate))} of the best setting is over "
        "seeds that chose it."
    )


def _setting(summary: Summary, place: int) -> str:
    return f"({summary.lines[place].setting.label})"


def _resolved(summary: Summary) -> str:
    """Says which settings are not resolved from the best one, and how many seeds it would take."""
    compared = [line for line in summary.lines if line.against_best]
    if not compared:
        return ""
    known = [line.against_best for line in compared if line.against_best]
    open_ones = [line for line in compared if _verdict(line) in (NOT_RESOLVED, SAME)]
    how = "with 95% confidence in all comparisons together"
    if not open_ones:
        others = _count(len(compared), "other")
        whom = f"all {others} compared with it" if len(compared) > 1 else "the other"
        return f"It differs significantly from {whom}, {how}, compared {_pairings(known)}."
    worse = len(compared) - len(open_ones)
    verb = "is" if worse == 1 else "are"
    said = (
        f"Which is best is not resolved: of {_count(len(compared), 'other')}, {len(open_ones)} may "
        f"be as good or better, and {worse} {verb} worse, {how}."
    )
    return f"{said} {_needed(open_ones[0])}"


def _not_compared(summary: Summary) -> str:
    """The settings that are in no comparison with the best, and why."""
    first, *others = summary.lines
    left = [line for line in others if line.against_best is None and line.ended]
    if not first.comparable:
        if not others or not first.ended:
            return ""
        return (
            "More than a quarter of the runs diverged even of the first setting: none is compared."
        )
    diverged = sum(not line.comparable for line in left)
    shorter = len(left) - diverged
    reasons = []
    if diverged:
        reasons.append(f"{diverged} of which more than a quarter of the runs diverged")
    if shorter:
        reasons.append(f"{shorter} that trained for fewer steps")
    if not reasons:
        return ""
    return f"Not compared with it: {_count(len(left), 'setting')}, {' and '.join(reasons)}."


def _verdict(line: Line) -> str:
    return line.against_best.verdict if line.against_best else ""


def _needed(line: Line) -> str:
    """How many seeds would resolve the two best settings."""
    comparison, seeds = line.against_best, len(line.scores)
    if comparison is None:
        return ""
    if not comparison.difference.estimate:
        return f"It and {line.label} have the same interquartile mean."
    if comparison.seeds_needed is None:
        return f"A difference from {line.label} asks for more than {_count(seeds, 'seed')} each."
    needed = f"about {comparison.seeds_needed:,}"
    if comparison.seeds_needed >= MOST_SEEDS:
        needed = f"more than {MOST_SEEDS:,}"
    return (
        f"Resolving the observed difference from {line.label} with a power of 80% would take "
        f"{needed} seeds each; there are {seeds}. They were compared "
        f"{_pairing(comparison)}."
    )


def _pairings(found: Sequence[Comparison]) -> str:
    """How all of them were compared; a correlation is that of a single comparison."""
    if len(found) < 2:
        return _pairing(found[0] if found else None)
    if all(one.pairs for one in found):
        return "seed by seed"
    return (
        "seed by seed where they have the same seeds"
        if any(one.pairs for one in found)
        else _pairing(None)
    )


def _pairing(comparison: Comparison | None) -> str:
    if comparison is None or not comparison.pairs:
        return "without pairing, as their seeds are not the same"
    correlated = comparison.correlation
    known = "" if math.isnan(correlated) else f" (correlation of the pairs {correlated:.2f})"
    return f"seed by seed{known}"


def _sensitivity(summary: Summary) -> list[str]:
    said = []
    for run, (fields, everything) in enumerate(summary.sensitivity):
        if fields:
            said.append(_of_run(summary, run, _shares(fields, everything)))
    return said


def _shares(fields: list[Sensitivity], everything: float) -> str:
    percent = in_percent(fields, everything)
    each = ", ".join(
        f"{field.name} {share}%" for field, share in zip(fields, percent.each, strict=True)
    )
    if percent.interaction is None:
        return (
            f"Of the spread of runs, by rank, hyper-parameters explain: {each}. These overlap, as "
            f"settings that have one value in common have others, too; what settings do not "
            f"explain, {percent.seeds}%, is due to seeds."
        )
    together = f", their interactions {percent.interaction}%" if len(fields) > 1 else ""
    return (
        f"Of the spread of runs, by rank, hyper-parameters explain: {each}{together}. "
        f"The other {percent.seeds}% is due to seeds."
    )


def _pairs(summary: Summary) -> list[str]:
    if not summary.pairs:
        return []
    first, second = (summary.runs[place].path.resolve().name for place in (0, 1))
    known = [pair.comparison for pair in summary.pairs if pair.comparison]
    both = f"{_count(len(summary.pairs), 'setting')} that both have"
    counts = {word: sum(one.verdict == word for one in known) for word in VERDICTS}
    counts["not compared"] = len(summary.pairs) - len(known)
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    result = f"of {both}: {said}"
    if len(known) > 1 and counts["better"] + counts["worse"]:
        result += (
            f"; by chance alone, {0.05 * len(known):.2g} of them would seem to differ on average"
        )
    return [f"{second} against {first}, compared {_pairings(known)}: {result}."]


def _diverged(summary: Summary) -> str:
    lost = sum(line.setting.left_out for line in summary.lines)
    runs = sum(line.setting.seeds for line in summary.lines)
    if not lost:
        return ""
    return (
        f"{lost} of {_count(runs, 'run')} became non-finite: scores are of the others, but in "
        "the order of settings, the choice and the comparisons such a run counts as the worst."
    )


def _of_run(summary: Summary, run: int, sentence: str) -> str:
    name = summary.run_name(run)
    return f"{name}: {sentence}" if name else sentence


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
