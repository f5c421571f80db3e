"""Writes a trained MLP, or an ensemble, as a program that predicts without this package.

    scripts/export RUN                     the best run
    scripts/export RUN --run 17            another
    scripts/export RUN --ensemble          all runs of the best setting, which predict their mean
    python RUN/export/predict.py table.csv

The folder holds the params as safetensors, the program as `jax.export` serializes it, for CPUs,
GPUs and TPUs, and a script that reads tables and needs numpy and jax alone. It is written only if
it reads the table as training did and predicts what the net predicts; an existing folder is not
overwritten.
"""

import dataclasses
import json
import runpy
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from research.atomic import new_folder, write_bytes, write_text
from research.cli.tool import run_tool
from research.console import print_line
from research.errors import UserError
from research.flags import check_path, check_writable
from research.mlp.ensembles import average
from research.mlp.export import SCRIPT, make_program, make_schema, raw_rows
from research.mlp.tools.evaluate import predict
from research.mlp.tools.trained import Trained, load_one, load_trained, only_data_set
from research.parsing import WhichParams
from research.plain_text import count_of
from research.report.one_run import one_run
from research.report.read import RunFolderData, read_run_of
from research.runs.session import versions
from research.runs.tensors import save_tree

AGREE = 1e-5  # how far predictions may be from those of the net, of probabilities
PARTS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which trained MLP to export, and where to."""

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run folder of mlp")
    ]
    run: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="number of the run; the best if not given")
    ] = None
    params: WhichParams = "last"
    ensemble: Annotated[bool, tyro.conf.arg(help="export all runs of the best setting, as one")] = (
        False
    )
    to: Annotated[
        str | None,
        tyro.conf.arg(metavar="FOLDER", help="the folder to make; RUN/export if not given"),
    ] = None


def main(args: Arguments) -> Path:
    """Writes the folder and returns its path."""
    data = read_run_of(args.folder, "mlp")._replace(params=args.params)
    check_path("--to", args.to)
    target = Path(args.to) if args.to else data.path / "export"
    if target.exists():
        raise UserError(f"{target} is there already and is not overwritten: give another with --to")
    check_writable(target, "--to", parents=True)
    if args.ensemble and args.run is not None:
        raise UserError(f"--run {args.run} --ensemble: choose one")
    trained = choose(data, args)
    rows, gap = _write(target, trained)
    who = count_of(len(trained.runs), "run") if args.ensemble else f"run {trained.runs[0]}"
    print_line(
        f"{who} of {data.path}, {trained.setting.label}: exported to {target}; its predictions of "
        f"{count_of(rows, 'row')} of the table differ from the net's by {gap:.1e} at most"
    )
    return target


def choose(data: RunFolderData, args: Arguments) -> Trained:
    """Returns the nets to export.

    Raises:
      UserError: if there is no such run.
    """
    if args.ensemble:
        return load_trained(data, only_data_set(data)[0])
    return load_one(data, one_run(data, args.run).number)


def check(trained: Trained, folder: Path) -> tuple[int, float]:
    """Compares what the program in a folder predicts, from the cells that the files hold, with what
    the net predicts from the rows as training encoded them.

    Returns:
      How many rows of all parts were compared, and the largest difference.

    Raises:
      UserError: if they are not the same but for rounding, or the program cannot read a row.
    """
    script, choice = runpy.run_path(str(folder / "predict.py")), trained.config.choice
    parts = [raw_rows(choice, part, script["read_csv"]) for part in PARTS]
    table = {name: [cell for part in parts for cell in part[name]] for name in parts[0]}
    counts = [len(next(iter(part.values()))) for part in parts]
    splits = zip(PARTS, counts, strict=True)
    x = np.concatenate([getattr(trained.shared, part).x[:count] for part, count in splits])
    try:
        off = np.max(np.abs(script["encode"](table).astype(np.float64) - x))
        predicted = script["predict"](table)
    except ValueError as error:
        line = str(error).splitlines()[0]
        raise UserError(f"the exported program cannot read the table: {line}") from error
    unit = 1.0 if trained.class_names else float(trained.shared.target_scale)
    gap = float(np.max(np.abs(predicted - average(predict(trained, x))))) / unit
    if not (gap <= AGREE and off <= AGREE * max(1, np.max(np.abs(x)))):
        raise UserError(
            f"the exported program is off by {gap:.1e}, its features by {off:.1e}; nothing was "
            "written"
        )
    return len(x), gap


def _write(target: Path, trained: Trained) -> tuple[int, float]:
    """Writes the folder, whole or not at all, and returns what `check` returns.

    Raises:
      NotWritten: if it cannot be written.
    """
    schema: dict[str, Any] = {
        **make_schema(trained.config, trained.facts, trained.shared.train.x.shape[1]),
        "runs": trained.runs.tolist(),
        "seeds": trained.seeds.tolist(),
        "config": dataclasses.asdict(trained.config),
        "setting": trained.setting.label,
        "versions": versions(),
    }
    program = make_program(trained.config, trained.shared, trained.params)
    with new_folder(target) as staging:
        write_text(staging / "schema.json", json.dumps(schema, indent=1))
        write_bytes(staging / "predict.jaxexport", program)
        save_tree(staging / "params.safetensors", trained.params)
        write_bytes(staging / "predict.py", SCRIPT.read_bytes())
        return check(trained, staging)


def run(argv: list[str] | None = None, prog: str = "scripts/export") -> None:
    """Parses the command line and exports the net, or the ensemble, that it names."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
