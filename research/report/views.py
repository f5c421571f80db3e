"""Views: charts, images and texts that only one workload can offer, and how the report finds them.

A classifier has ROC curves, an agent an episode to watch, a language model a text that it wrote.
The report knows none of them. A workload offers them as `VIEWS` in its module `views`, and a
package that is installed beside this one under the entry points `seedbed.views`:

    [project.entry-points."seedbed.views"]
    my_experiment = "my_package.views:VIEWS"

The name is that of the workload, or of the experiment if its problem names none; the manifest of a
run folder has it.
"""

import base64
import importlib
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from research.errors import UserError
from research.folders import files_in, read_file
from research.own_modules import describe_raised
from research.report.one_run import OneRun
from research.report.page.chart import Chart
from research.report.read import RunFolderData, workload_of
from research.report.summary import Summary

if TYPE_CHECKING:
    from research.runs.experiment import Experiment  # which imports JAX

GROUP = "seedbed.views"  # of entry points
MOST_BYTES = 1_500_000  # of an image; the page is to stay small
RESEARCH = Path(__file__).parents[1]


class Image(NamedTuple):
    """An image on the page.

    Attributes:
      title: above it.
      description: for those who do not see it.
      source: a data URI; empty if the file is too large for the page, which says so.
    """

    title: str
    description: str
    source: str


class Text(NamedTuple):
    """A text on the page, letter by letter.

    Attributes:
      title: above it.
      beginning: in bold type; may be empty.
      text: what follows.
    """

    title: str
    beginning: str
    text: str


class Shown(NamedTuple):
    """The charts, images and texts of one run folder, in the order of the page."""

    charts: Sequence[Chart] = ()
    images: Sequence[Image] = ()
    texts: Sequence[Text] = ()


class Views(NamedTuple):
    """The functions by which a workload offers its views to the report.

    Attributes:
      show: the summary of a report and the place of a run folder in it -> what the page shows of
        that folder beside what it shows of every one. It may raise a `UserError` that names a
        damaged file.
      make_examples: makes what `show` needs and a finished run folder lacks, such as predictions or
        an animation. It may take long, and trains nothing. It raises a `UserError` where there is
        nothing to make, which is printed and is no error.
      experiments: other names of experiments than that of the workload.
      restore: makes of a run of a folder an object to work with in Python, with `run`, `params` as
        Flax takes them, and what the workload can do with them; see `load_run`. It is also given
        the experiment that made the folder, if the user has it at hand. It raises a `UserError`
        where there are no params, or the folder asks for code that the user has not named. None
        where there is no more to do than with any run.
    """

    show: Callable[[Summary, int], Shown]
    make_examples: Callable[[RunFolderData], None]
    experiments: Sequence[str] = ()
    restore: "Callable[[RunFolderData, OneRun, Experiment | None], Any] | None" = None


def find_views(manifest: Mapping[str, Any]) -> Views | None:
    """The views of the experiment of a run folder; None where nobody offers any.

    A workload of this package that has the name comes first, then entry points, then the other
    workloads of this package, which may have several experiments each. The name is compared with
    what is installed and never imported: a run folder is somebody's data.

    Raises:
      UserError: if the views of another package cannot be loaded.
    """
    name = workload_of(manifest)
    workloads = _workloads()
    if name in workloads:
        return _views_of(name)
    for entry in metadata.entry_points(group=GROUP):
        if entry.name == name:
            return _load(entry)
    # Importing a workload takes seconds: only those are that have the name in their source.
    named = [one for one, path in workloads.items() if f'"{name}"' in path.read_text("utf-8")]
    return next((views for views in map(_views_of, named) if name in views.experiments), None)


def image(path: Path, title: str, description: str) -> Image:
    """An image file, such as a GIF or PNG; without its source where the file is too large.

    Raises:
      UserError: if it is no file, such as a link to one, or cannot be read.
    """
    try:
        if path.lstat().st_size > MOST_BYTES:
            return Image(title, description, "")
        data, (kind, _) = read_file(path), mimetypes.guess_type(path.name)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    return Image(title, description, f"data:{kind};base64,{base64.b64encode(data).decode()}")


def _workloads() -> dict[str, Path]:
    """The workloads of this package that offer views: folder -> the file that does."""
    found = [*files_in(RESEARCH, "*/views.py"), *files_in(RESEARCH, "*/views/__init__.py")]
    folders = {path.relative_to(RESEARCH).parts[0]: path for path in sorted(found)}
    return {name: path for name, path in folders.items() if path != Path(__file__)}


def _views_of(workload: str) -> Views:
    return importlib.import_module(f"research.{workload}.views").VIEWS


def _load(entry: metadata.EntryPoint) -> Views:
    where = f"the views of {entry.name}, {entry.value},"
    try:
        views = entry.load()
    except Exception as error:  # of somebody else's package
        raise UserError(f"{where} cannot be loaded: {describe_raised(error)}") from error
    if not isinstance(views, Views):
        raise UserError(f"{where} are no research.report.views.Views")
    return views
