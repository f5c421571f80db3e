"""The flags of every recipe, beside those of its config and hyper-parameters: a dataclass for each
group that `--help` shows."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

import tyro

from research.effects import flag_field
from research.parsing import Unbounded
from research.runs.samplers import is_adaptive
from research.task import OnlyWith


def _is_given(value: object) -> bool:
    return value is not None


def _fits(parallel: str, compile_for: tuple[str, ...]) -> bool:
    return parallel == "auto" or bool(compile_for)


def _is_truncation(population: str | None, exploit: str) -> bool:
    return population is not None and exploit == "truncation"


_WITH_POPULATION = OnlyWith(("population",), _is_given, "--population")
_WITH_TRUNCATION = OnlyWith(
    ("population", "exploit"), _is_truncation, "--population with --exploit truncation"
)


@dataclasses.dataclass(frozen=True)
class UsualFlags:
    """What a sweep is made of, and where it is kept."""

    seeds: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="N | SEED SEED...", help="64 means 0 to 63; two or more are a list"),
    ] = ("32",)
    steps: Annotated[int | None, tyro.conf.arg(help="how many steps each run trains")] = 1_000
    name: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME", help="name of the run folder; experiment and time if not given"
        ),
    ] = None
    out: Annotated[
        str, tyro.conf.arg(metavar="FOLDER", help="folder in which run folders are made")
    ] = "runs"
    resume: Annotated[
        str | None,
        tyro.conf.arg(metavar="RUN", help="resume a run folder, with the flags it was made by"),
    ] = None
    parallel: Annotated[
        str,
        tyro.conf.arg(
            metavar="auto|N",
            help="how many runs to train at once, at most; auto: as many as fit the memory",
        ),
    ] = "auto"


@dataclasses.dataclass(frozen=True)
class RunningFlags:
    """What a sweep begins with, how often it logs, evaluates and saves, and what it may use of a
    device."""

    init_from: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="RUN[:N|best]",
            help="begin with the params of another run folder: of its run N or its best run, or "
            "else seed by seed of its best setting",
        ),
    ] = None
    init_states: Annotated[
        bool,
        tyro.conf.arg(
            help="with --init-from, take whole states (optimizer, replay, environments), not only "
            "params, and continue at their step"
        ),
    ] = flag_field(False, only_with=OnlyWith(("init_from",), _is_given, "--init-from"))
    log_every: Annotated[
        int | None, tyro.conf.arg(help="{unit} that a logged mean covers; 1% of all if not given")
    ] = None
    eval_every: Annotated[
        int | None, tyro.conf.arg(help="{unit} between evaluations; 5% of all if not given")
    ] = None
    chunk_every: Annotated[
        int | None,
        tyro.conf.arg(
            help="{unit} of one call of the program, at most, before the host may log, save or "
            "stop; about 1% of all if not given"
        ),
    ] = None
    checkpoint_every: Annotated[
        float, tyro.conf.arg(metavar="MINUTES", help="minutes between checkpoints; inf: none")
    ] = 10.0
    keep_states: Annotated[
        bool, tyro.conf.arg(help="keep the last states as a checkpoint, not only the params")
    ] = False
    keep: Annotated[
        Literal["last", "best"],
        tyro.conf.arg(
            help="which params of a run are kept: the last, or also those of its best evaluation"
        ),
    ] = "last"
    compile_for: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="DEVICE...",
            help="train nothing: say whether the sweep fits h100, a100, v5e or v6e, none of which "
            "need be here, in how many parts, and how long it would take at best",
        ),
    ] = ()
    lanes: Annotated[
        int | None,
        tyro.conf.arg(
            help="how many runs one device advances in lockstep, at most; the engine chooses if "
            "not given"
        ),
    ] = None
    memory_limit: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="SIZE", help="memory to use of a device, such as 20GB; all of it if not given"
        ),
    ] = flag_field(None, only_with=OnlyWith(("parallel", "compile_for"), _fits, "--parallel auto"))
    deterministic: Annotated[
        bool,
        tyro.conf.arg(help="use only GPU kernels that repeat to the last bit; they are slower"),
    ] = False
    unbounded: Unbounded = False


@dataclasses.dataclass(frozen=True)
class SearchFlags:
    """Search over hyper-parameters, and successive halving of its settings."""

    search: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N", help="draw N settings; two values of a hyper-parameter are a range then"
        ),
    ] = None
    confirm: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N",
            help="in the end, train the best found anew with N seeds that did not choose it",
        ),
    ] = None
    search_seed: Annotated[int, tyro.conf.arg(help="seed of the draws")] = flag_field(
        0, only_with=OnlyWith(("search",), _is_given, "--search")
    )
    sampler: Annotated[
        str,
        tyro.conf.arg(
            metavar="random|sobol|tpe|gp|cmaes",
            help="who proposes settings: random or sobol all at once; tpe, gp or cmaes batch by "
            "batch, by the scores of those before",
        ),
    ] = "random"
    batch: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N", help="settings that are proposed at once; an eighth of all if not given"
        ),
    ] = flag_field(
        None, only_with=OnlyWith(("sampler",), is_adaptive, "--sampler tpe, gp or cmaes")
    )
    search_from: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="RUN", help="tell the sampler the scores of another run folder before it begins"
        ),
    ] = None
    halving: Annotated[
        int | None,
        tyro.conf.arg(metavar="FACTOR", help="continue one setting in FACTOR at each rung"),
    ] = None
    rungs: Annotated[
        int, tyro.conf.arg(help="how often --halving compares settings, the end included")
    ] = flag_field(4, only_with=OnlyWith(("halving",), _is_given, "--halving"))
    asynchronous: Annotated[
        bool,
        tyro.conf.arg(
            help="with --halving, promote the best settings so far whenever a process looks for "
            "work, instead of when a rung has ended"
        ),
    ] = False


@dataclasses.dataclass(frozen=True)
class PopulationFlags:
    """Population-based training: members with low scores take over the states of better ones and go
    on with other hyper-parameters. The members are the settings of --search; each seed is a
    population of its own."""

    population: Annotated[
        Literal["pbt"] | None,
        tyro.conf.arg(help="train the settings of --search as populations, one for each seed"),
    ] = flag_field(None, only_with=OnlyWith(("search",), _is_given, "--search"))
    ready_every: Annotated[
        int | None,
        tyro.conf.arg(help="{unit} between decisions; at every evaluation if not given"),
    ] = flag_field(None, only_with=_WITH_POPULATION)
    exploit: Annotated[
        Literal["truncation", "tournament"],
        tyro.conf.arg(
            help="truncation: the worst members take over from the best; tournament: each from one "
            "drawn at random, if that is better"
        ),
    ] = flag_field("truncation", only_with=_WITH_POPULATION)
    exploit_fraction: Annotated[
        float, tyro.conf.arg(help="share of the members that are the worst, and the best")
    ] = flag_field(0.2, only_with=_WITH_TRUNCATION)
    perturb: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="LOW HIGH",
            help="factors, of which one changes each hyper-parameter that is searched",
        ),
    ] = flag_field(("0.8", "1.2"), only_with=_WITH_POPULATION)
    resample: Annotated[
        float, tyro.conf.arg(help="probability of drawing a hyper-parameter anew instead")
    ] = flag_field(0.25, only_with=_WITH_POPULATION)
    follow: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="RUN[:N]",
            help="train along the schedule of hyper-parameters that led to run N of a population, "
            "or to its best run",
        ),
    ] = None


@dataclasses.dataclass(frozen=True)
class StoppingFlags:
    """Runs that stop at an evaluation before the end: where any of these is so, or the run has
    diverged. The lanes of the program that fall free are dropped."""

    stop_at_goal: Annotated[
        bool, tyro.conf.arg(help="stop each run at the score that solves its problem")
    ] = False
    stop_when: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CONDITION",
            help='stop each run where this holds, such as "evaluation_return >= 475 for 3": of a '
            "metric of evaluations, so many of them in a row",
        ),
    ] = None
    stop_patience: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N", help="stop each run after N evaluations without a new best score"
        ),
    ] = None


@dataclasses.dataclass(frozen=True)
class ProcessFlags:
    """One sweep in several processes; scripts/launch gives these."""

    shares: Annotated[
        int, tyro.conf.arg(metavar="N", help="make at least N jobs, for so many processes")
    ] = 1
    prepare: Annotated[bool, tyro.conf.arg(help="make the run folder and train nothing")] = False
    worker: Annotated[
        bool, tyro.conf.arg(help="train what no other worker has taken; with --resume RUN")
    ] = False
    distributed: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="auto|HOST:PORT,I/N",
            help="be process I of N of a jax.distributed world, such as a TPU pod",
        ),
    ] = None


@dataclasses.dataclass(frozen=True)
class TrackingFlags:
    """Other trackers that follow a sweep while it trains."""

    tensorboard: Annotated[
        bool, tyro.conf.arg(help="write TensorBoard's files to RUN/tensorboard")
    ] = False
    wandb: Annotated[bool, tyro.conf.arg(help="write offline runs of W&B to RUN/wandb")] = False


SWEEP_FLAGS: Mapping[str, type] = {
    "usual": UsualFlags,
    "running": RunningFlags,
    "search": SearchFlags,
    "population": PopulationFlags,
    "stopping": StoppingFlags,
    "process": ProcessFlags,
    "tracking": TrackingFlags,
}  # the heading of a group in `--help` -> its flags
