"""Writes a trained MLP, or an ensemble, as a program that predicts without this package.

    scripts/export RUN                     the best run
    scripts/export RUN --run 17            another
    scripts/export RUN --ensemble          all runs of the best setting, which predict their mean
    python RUN/export/predict.py table.csv

The folder holds the params as safetensors, the program as `jax.export` serializes it, for CPUs,
GPUs and TPUs, and a script that reads tables and needs numpy and jax alone. It is written once its
predictions are those of the net, and an existing one is not overwritten.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from evaluate import predict
from trained_mlps import Trained, finished_settings, load_trained

from research.atomic import new_folder, write_bytes
from research.console import print_text
from research.errors import UserError, plain_exit
from research.mlp.ensembles import average
from research.mlp.export import SCRIPT, make_program, make_schema, run_program
from research.report.one_run import one_run
from research.report.read import RunFolderData, read_run_of
from research.sweep.machine import configure_jax, versions
from research.sweep.tensors import save_tree

AGREE = 1e-5  # how far predictions may be from those of the net, of probabilities


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes a trained MLP, or an ensemble, as a program that predicts without this package."""

    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(help="a run folder of mlp")]
    run: Annotated[int | None, tyro.conf.arg(help="which; the best if not given")] = None
    ensemble: Annotated[bool, tyro.conf.arg(help="all runs of the best setting")] = False
    to: Annotated[str | None, tyro.conf.arg(help="the folder to make; RUN/export")] = None


def main(args: Arguments) -> Path:
    """Returns the folder that it made."""
    data = read_run_of(args.folder, "mlp")
    target = Path(args.to) if args.to else data.path / "export"
    if target.exists():
        raise UserError(f"{target} is there already and is not overwritten: give another with --to")
    if args.ensemble and args.run is not None:
        raise UserError(f"--run {args.run} --ensemble: choose one")
    trained = choose(data, args)
    program = make_program(trained.config, trained.shared, trained.params)
    gap = check(trained, program)
    _write(target, trained, program)
    who = f"{len(trained.runs)} runs" if args.ensemble else f"run {trained.runs[0]}"
    print_text(
        f"{who} of {data.path}, {trained.setting.label}: exported to {target}; predictions of the "
        f"test part differ by {gap:.1e} at most"
    )
    return target


def choose(data: RunFolderData, args: Arguments) -> Trained:
    """The nets to export.

    Raises:
      UserError: if there is no such run.
    """
    if args.ensemble:
        return load_trained(data, finished_settings(data)[0])
    number = one_run(data, args.run).number
    setting = next(one for one in finished_settings(data) if number in set(one.rows["run"]))
    trained = load_trained(data, setting)
    at = np.flatnonzero(trained.runs == number)
    params = jax.tree.map(lambda leaf: leaf[at], trained.params)
    return trained._replace(runs=trained.runs[at], seeds=trained.seeds[at], params=params)


def check(trained: Trained, program: bytes) -> float:
    """The largest difference of what the program and the net predict.

    Raises:
      RuntimeError: if they are not the same but for rounding.
    """
    x = np.asarray(trained.shared.test.x)
    expected = average(predict(trained, x))
    unit = 1.0 if trained.class_names else float(trained.shared.target_scale)
    gap = float(np.max(np.abs(run_program(program, x) - expected))) / unit
    if not gap <= AGREE:
        raise RuntimeError(f"the exported program is {gap:.1e} off; nothing was written")
    return gap


def _write(target: Path, trained: Trained, program: bytes) -> None:
    """The folder, whole or not at all."""
    schema: dict[str, Any] = {
        **make_schema(trained.config, trained.facts),
        "runs": trained.runs.tolist(),
        "seeds": trained.seeds.tolist(),
        "config": dataclasses.asdict(trained.config),
        "setting": trained.setting.label,
        "versions": versions(),
    }
    try:
        with new_folder(target) as staging:
            write_bytes(staging / "schema.json", json.dumps(schema, indent=1).encode())
            write_bytes(staging / "predict.jaxexport", program)
            save_tree(staging / "params.safetensors", trained.params)
            shutil.copyfile(SCRIPT, staging / "predict.py")
    except OSError as error:
        raise UserError(f"cannot write to {target}: {error.strerror}") from error


if __name__ == "__main__":
    with plain_exit():
        given = tyro.cli(Arguments, prog="scripts/export", description=__doc__)
        configure_jax()
        main(given)
