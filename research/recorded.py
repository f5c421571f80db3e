"""What the JSON files of a run folder must hold, whoever made the folder.

A run folder may come from anywhere. What is read from one is checked here before anything is made
of it: its size and depth, the types and ranges of its fields, and that names of jobs are names and
no paths. What is wrong is told in one line with the file and the field.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from research.errors import UserError
from research.folders import check_contents, check_format, check_is_run_folder
from research.plain_text import shortened

MOST_BYTES = 256 * 2**20  # of a JSON file
JOB_NAME = r"^\d{1,9}-\d{6,12}(-from-\d{1,10})?$"

Count = Annotated[int, Field(ge=0, lt=2**53)]
Number = Annotated[float, Field(allow_inf_nan=False)]  # an integer, too
JobName = Annotated[str, Field(pattern=JOB_NAME)]
Object = dict[str, Any]


class Recorded(BaseModel):
    """A JSON object. Fields that it does not name may hold anything; numbers are no text."""

    model_config = ConfigDict(extra="allow", strict=True)


class RecordedJob(Recorded):
    """A job, as in plan.json."""

    group: Count
    runs: Annotated[list[Count], Field(min_length=1)]
    start: Count
    stop: Annotated[int, Field(gt=0, lt=2**53)]
    width: Annotated[int, Field(gt=0, lt=2**53)]
    sources: list[JobName]


class RecordedRung(Recorded):
    """How a rung of a successive halving was decided."""

    stopped_runs: list[Count]


class RecordedPlan(Recorded):
    """plan.json."""

    jobs: list[RecordedJob]
    rungs: list[RecordedRung]
    splits: list[Object]


class RecordedDivergence(Recorded):
    """A run that diverged, as in a result."""

    run: Count
    step: Count | None = None


class RecordedResult(Recorded):
    """results/JOB.json, and how a job went in the manifest."""

    job: JobName | None = None
    runs: list[Count] | None = None
    diverged: list[RecordedDivergence]
    train_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    clock: list[Annotated[list[Number], Field(min_length=2, max_length=2)]] | None = None
    scores: list[Number | None] | None = None
    cost: Object | None = None
    throughput: dict[str, Number] | None = None


class RecordedGroup(Recorded):
    """A group of runs of one structure, as in the manifest."""

    first_run: Count
    runs: Annotated[int, Field(gt=0, lt=2**53)]
    steps: Count | None = None
    goal: Number | None = None


class RecordedManifest(Recorded):
    """manifest.json. What has a default was not recorded by older versions."""

    format: Literal[2]
    experiment: str
    workload: str | None = None
    status: Literal["running", "stopped", "finished"]
    config: Object
    hparams: dict[str, Any]
    config_axes: dict[str, list[Any]]
    hparams_axes: dict[str, list[Any]]
    seeds: list[int]
    key_metric: str
    higher_is_better: bool
    work_unit: str
    groups: Annotated[list[RecordedGroup], Field(min_length=1)]
    data: list[Object] | None = None
    versions: Object | None = None
    device: Object | None = None
    sessions: list[Object] | None = None
    results: list[RecordedResult] | None = None
    rungs: list[RecordedRung] | None = None


def read_manifest(path: Path) -> dict[str, Any]:
    """Reads the manifest of a run folder, after checking what the folder contains.

    Raises:
      UserError: if it is no run folder, is damaged, was written by another version, or holds what
        leads out of it.
    """
    check_is_run_folder(path)
    check_contents(path)
    manifest = read_json(path / "manifest.json")
    check_format(path, manifest)
    check(manifest, RecordedManifest, path / "manifest.json")
    return manifest


def read_json(path: Path, schema: type[Recorded] | None = None) -> Any:
    """Returns the content of a JSON file of a run folder.

    Args:
      path: of the file.
      schema: what it must hold; any JSON if not given.

    Raises:
      UserError: if it cannot be read, is no JSON, holds NaN or is larger than `MOST_BYTES`, or does
        not fit the schema.
    """
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise UserError(f"{path} is damaged: {size:,} bytes, and {MOST_BYTES:,} are the most")
        content = json.loads(path.read_text("utf-8"), parse_constant=_refuse)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    except RecursionError:
        raise UserError(f"{path} is damaged: it is nested too deeply") from None
    if schema is not None:
        check(content, schema, path)
    return content


def check(content: Any, schema: type[Recorded], path: Path) -> None:
    """Checks what a file holds.

    Raises:
      UserError: naming the file, the first field that is wrong, and what is wrong with it.
    """
    try:
        schema.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "all of it"
        given = "" if first["type"] == "missing" else f", not {shortened(repr(first['input']))}"
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise UserError(f"{path} is damaged: {field}: {reason}{given}") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"it holds {constant}, which is no JSON")
