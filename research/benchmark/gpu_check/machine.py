"""Tells which devices JAX sees, before anything is measured."""

from collections.abc import Iterator

from research.benchmark.gpu_check.processes import Found
from research.runs.session import describe_session


def work(seconds: float) -> Iterator[Found]:
    """Yields the description of the machine, its versions and the commit."""
    del seconds  # it takes none
    session = describe_session()
    yield {name: session[name] for name in ("started", "versions", "device", "git_commit")}
