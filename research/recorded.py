"""What the JSON files of a run folder must hold, whoever made the folder.

A run folder may come from anywhere. What is read from one is checked here before anything is made
of it: its size and depth, the types and ranges of its fields, and that names of jobs are names and
no paths. What is wrong is told in one line with the file and the field.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from research.errors import UserError
from research.folders import check_contents, check_format, check_is_run_folder, read_file
from research.limits import MOST_RUNS
from research.plain_text import shortened

MOST_BYTES = 256 * 2**20  # of a JSON file
JOB_NAME = r"^\d{1,9}-\d{6,12}(-from-\d{1,10})?$"

Count = Annotated[int, Field(ge=0, lt=2**53)]
Small = Annotated[int, Field(ge=0, lt=2**31)]
Number = Annotated[float, Field(allow_inf_nan=False)]  # an integer, too
Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]
JobName = Annotated[str, Field(pattern=JOB_NAME)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z_0-9]*$")]
Object = dict[str, Any]
Values = dict[Identifier, bool | int | Number | str]  # hyper-parameter -> value


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("should be text")
    return value


# Also with lone surrogates, which stand for bytes that are not UTF-8.
Text = Annotated[Any, AfterValidator(_as_text)]


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


class RecordedPromotion(Recorded):
    """A job of promoted settings, and the jobs that had ended the rung since the one before."""

    job: JobName
    ended: list[JobName]


class RecordedRung(Recorded):
    """How a rung of a successive halving was decided."""

    rung: Count | None = None
    steps: list[Count] = []
    settings: Count | None = None
    kept: Count | None = None
    stopped_runs: list[Count]
    promotions: list[RecordedPromotion] = []


class RecordedPlan(Recorded):
    """plan.json."""

    jobs: list[RecordedJob]
    rungs: list[RecordedRung]
    splits: list[Object]


class RecordedDivergence(Recorded):
    """A run that diverged, as in a result."""

    run: Count
    step: Count | None = None


class RecordedStop(Recorded):
    """A run that a scheduler stopped before the end, as in a result."""

    run: Count
    step: Count
    why: Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]


class RecordedCost(Recorded):
    """What a program takes, as in a result."""

    compile_seconds: Number


class RecordedThroughput(Recorded):
    """How fast a job was, as in a result."""

    steps_per_second: Number
    work_per_second: Number
    flops_per_second: Number | None = None


class RecordedResult(Recorded):
    """results/JOB.json, and how a job went in the manifest."""

    job: JobName | None = None
    runs: list[Count] = []
    start: Count = 0
    diverged: list[RecordedDivergence]
    train_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    clock: list[Pair] = []
    scores: list[Number | None] | None = None
    stopped: list[RecordedStop] = []
    cost: RecordedCost | None = None
    throughput: RecordedThroughput | None = None


class RecordedGroup(Recorded):
    """A group of runs of one structure, as in the manifest, with its values of the swept config
    fields."""

    first_run: Count
    runs: Annotated[int, Field(gt=0, le=MOST_RUNS)]
    steps: Count | None = None
    paced_for: Count | None = None
    goal: Number | None = None


class RecordedCode(Recorded):
    """The code of the user's own that made the problem, as in the manifest."""

    file: Annotated[str, Field(pattern=r"^/[^\x00]+\.py$")]
    make_problem: Identifier
    config: Identifier | None = None
    hparams: Identifier | None = None


class RecordedCondition(Recorded):
    """A condition on a metric, as in the manifest."""

    metric: str
    comparison: Literal[">=", "<=", ">", "<"]
    value: Number
    evaluations: Annotated[int, Field(gt=0, lt=2**53)] = 1


class RecordedEarlyStop(Recorded):
    """When runs stop early, as in the manifest."""

    at_goal: bool = False
    when: RecordedCondition | None = None
    patience: Count | None = None


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
    seeds: Annotated[list[int], Field(min_length=1)]
    key_metric: str
    higher_is_better: bool
    work_unit: str
    in_work: bool = False
    groups: Annotated[list[RecordedGroup], Field(min_length=1)]
    data: list[Object] = []
    sealed_as: str | None = None
    population: Object | None = None
    schedule: list[Annotated[list[Any], Field(min_length=2, max_length=2)]] | None = None
    code: RecordedCode | None = None
    early_stop: RecordedEarlyStop | None = None
    versions: Object = {}
    device: Object = {}
    sessions: list[Object] = []
    results: list[RecordedResult] = []
    halving: Object | None = None
    rungs: list[RecordedRung] = []


class RecordedConfirmation(Recorded):
    """What was trained anew with other seeds, and its score."""

    model_config = ConfigDict(extra="forbid", strict=True)

    folder: Annotated[str, Field(pattern=r"^confirmed(-[0-9]{1,6})?$")]
    problem: Text
    run: Count
    seeds: Annotated[list[Count], Field(min_length=1)]
    metric: Text
    score: Annotated[list[Number], Field(min_length=3, max_length=3)] | None
    chosen_by: Number


class RecordedConfirmations(Recorded):
    """confirmed.json."""

    confirmed: list[RecordedConfirmation]


class RecordedParams(Recorded):
    """The metadata of params/JOB.safetensors."""

    group: Count
    runs: Annotated[list[Count], Field(min_length=1)]
    step: Count
    steps: list[Count] | None = None


class RecordedInitial(Recorded):
    """The metadata of init/GROUP.safetensors."""

    group: Count
    runs: Annotated[list[Count], Field(min_length=1)]
    rows: Annotated[list[Count], Field(min_length=1)]
    step: Count = 0


class RecordedProposals(Recorded):
    """proposals/BATCH.json: the settings of a batch of a search, for each group."""

    batch: Count
    groups: Annotated[list[list[Values]], Field(min_length=1)]


class RecordedTold(Recorded):
    """A setting of an earlier search, and its loss; null where it diverged or has none."""

    values: Values
    loss: Number | None


class RecordedEarlier(Recorded):
    """proposals/earlier.json: what a sampler is told of an earlier search, for each group."""

    groups: Annotated[list[list[RecordedTold]], Field(min_length=1)]


class RecordedCheckpoint(Recorded):
    """facts.json of a checkpoint, without the digest of it."""

    step: Count
    facts: Object
    leaves: dict[str, Annotated[list[str | list[Count]], Field(min_length=2, max_length=2)]]
    digests: dict[str, str]


class RecordedPosition(Recorded):
    """How far the metrics of a job had come."""

    files: Annotated[int, Field(ge=0, lt=10**6)]
    clock: list[Pair]
    diverged: list[Annotated[list[Small], Field(min_length=2, max_length=2)]]
    scores: list[Number | None] | None = None
    stopped: list[RecordedStop] = []


class RecordedProgress(Recorded):
    """What is saved of a job beside its states, as in facts.json of a checkpoint."""

    layout: list[Count]
    position: RecordedPosition
    metrics: list[Count | None]
    lanes: list[Count] | None = None
    decisions: dict[Annotated[str, Field(pattern=r"^\d{1,10}$")], Count] = {}


def read_manifest(path: Path) -> dict[str, Any]:
    """Reads the manifest of a run folder, after checking what the folder contains, and adds what
    older versions did not record.

    Raises:
      UserError: if it is no run folder, is damaged, was written by another version, or holds what
        leads out of it.
    """
    check_is_run_folder(path)
    check_contents(path)
    file = path / "manifest.json"
    manifest = read_json(file)
    check_format(path, manifest)
    manifest = checked(manifest, RecordedManifest, file)
    _check_groups(manifest, file)
    return manifest


def _check_groups(manifest: dict[str, Any], file: Path) -> None:
    """Checks that groups follow each other and say what the swept config fields are in them."""
    runs = 0
    for place, group in enumerate(manifest["groups"]):
        where = f"{file} is damaged: groups.{place}"
        if group["first_run"] != runs:
            raise UserError(f"{where}.first_run: should be {runs}, not {group['first_run']}")
        if missing := [name for name in manifest["config_axes"] if name not in group]:
            raise UserError(f"{where}.{missing[0]}: field required")
        runs += group["runs"]
    if runs > MOST_RUNS:
        raise UserError(f"{file} is damaged: groups: {runs} runs, and {MOST_RUNS} are the most")


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
        text = read_file(path, MOST_BYTES).decode("utf-8")
        content = json.loads(text, parse_constant=_refuse)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    except RecursionError:
        raise UserError(f"{path} is damaged: it is nested too deeply") from None
    if schema is not None:
        checked(content, schema, path)
    return content


def checked(content: Any, schema: type[Recorded], path: Path) -> dict[str, Any]:
    """Returns what a file holds, after checking it, with the default of each field that it lacks.

    Raises:
      UserError: naming the file, the first field that is wrong, and what is wrong with it.
    """
    try:
        return schema.model_validate(content).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "all of it"
        given = "" if first["type"] == "missing" else f", not {shortened(repr(first['input']))}"
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise UserError(f"{path} is damaged: {shortened(field, 120)}: {reason}{given}") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"it holds {constant}, which is no JSON")
