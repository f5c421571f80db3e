"""One run of a run folder: the best, or a chosen one, with its config and hyper-parameters."""

from typing import Any, NamedTuple

from research.errors import UserError
from research.report.population import values_now
from research.report.problems import by_problem
from research.report.read import RunFolderData, diverged_runs, stopped_runs


class OneRun(NamedTuple):
    """A run with its place in the folder and its setting.

    Attributes:
      number: among all runs of the folder.
      group: the number of its group, whose params are in one file.
      place: its place in that group.
      seed: as the user typed it.
      config: field -> value, as JSON has it.
      hparams: field -> value.
      score: the key metric at the last step at which it was measured.
    """

    number: int
    group: int
    place: int
    seed: int
    config: dict[str, Any]
    hparams: dict[str, Any]
    score: float


def shown_briefly(trained: Any) -> str:
    """The `repr` of what a workload gives of a trained run, with fields `run` and `params`: a line,
    since a notebook shows it, and not all of the params."""
    import jax  # which the flags of a tool are read without

    run, sizes = trained.run, [leaf.size for leaf in jax.tree.leaves(trained.params)]
    return (
        f"<{type(trained).__name__}: run {run.number}, seed {run.seed}, score {run.score:.4g}, "
        f"{sum(sizes):,} params>"
    )


def one_run(data: RunFolderData, number: int | None = None) -> OneRun:
    """The run of that number; the one with the best key metric at the last step if not given.

    Raises:
      UserError: if there is no such run, or none that is finite; or none is given, and there is one
        for each of several problems, such as environments.
    """
    if number is None:
        best, *others = best_runs(data)
        if others:
            raise UserError(
                f"{data.path} has settings of {len(others) + 1} problems, which are not compared: "
                f"choose with --run; the best of each are {_listed([best, *others])}"
            )
        return best
    finite = _finite_rows(data)
    if number not in finite.index:
        runs = data.all_rows["run"]
        raise UserError(
            f"--run {number}: {data.path} has no such finite run; its runs are "
            f"{runs.min()} to {runs.max()}"
        )
    return _describe(data, number, finite)


def best_runs(data: RunFolderData, number: int | None = None) -> list[OneRun]:
    """The run with the best key metric at the last step of each problem, such as an environment;
    or the run of that number alone.

    Raises:
      UserError: as `one_run`, but for several problems.
    """
    if number is not None:
        return [one_run(data, number)]
    key, finite = data.manifest["key_metric"], _finite_rows(data)
    full = finite[~finite.index.isin(list(stopped_runs(data.manifest)))]
    found = []
    for some in by_problem(data).values():
        mine = {run for setting in some for run in setting.rows["run"].unique()}
        scores = next(
            (rows[key] for rows in (_of(full, mine), _of(finite, mine)) if len(rows)), None
        )
        if scores is not None:
            best = scores.idxmax() if data.manifest["higher_is_better"] else scores.idxmin()
            found.append(_describe(data, int(best), finite))
    return found


def _of(rows: Any, runs: set[int]) -> Any:
    return rows[rows.index.isin(list(runs))]


def _listed(runs: list[OneRun]) -> str:
    return ", ".join(str(run.number) for run in runs)


def _finite_rows(data: RunFolderData) -> Any:
    """The row of each finite run at the last step at which it was measured, by its number.

    Raises:
      UserError: if there is none.
    """
    key = data.manifest["key_metric"]
    measured: Any = data.all_rows[data.all_rows[key].notna()]
    last = measured[measured["step"] == measured.groupby("run")["step"].transform("max")]
    finite = last[~last["run"].isin(list(diverged_runs(data)))].set_index("run")
    if not len(finite):
        raise UserError(f"{data.path} has no finite run with {key} yet")
    return finite


def _describe(data: RunFolderData, number: int, finite: Any) -> OneRun:
    key = data.manifest["key_metric"]
    row, manifest = finite.loc[number], data.manifest
    if missing := [name for name in manifest["hparams"] if name not in row]:
        raise UserError(f"{data.path} is damaged: its metrics lack the column {missing[0]}")
    group = max(i for i, part in enumerate(manifest["groups"]) if part["first_run"] <= number)
    labels = manifest["groups"][group]
    hparams = {name: row[name] for name in manifest["hparams"]}
    if data.members is not None and data.decisions is not None:
        names = list(manifest["hparams_axes"])
        hparams |= values_now(data.members, data.decisions, number, names)
    return OneRun(
        number=number,
        group=group,
        place=number - labels["first_run"],
        seed=int(row["seed"]),
        config=manifest["config"] | {name: labels[name] for name in manifest["config_axes"]},
        hparams=hparams,
        score=float(row[key]),
    )
