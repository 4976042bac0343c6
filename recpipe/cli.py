"""`recpipe`: build a submission, see how things stand, look at models and recommendations, fetch data."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from recpipe.lock import AtWork
from recpipe.settings import Project
from recpipe.storage import Missing
from recpipe.yaml_files import SettingsError

app = typer.Typer(
    help="From movie-watching data to ten films for every user.\n\n"
    "Everything is written under data/ of the checkout, or under RECPIPE_HOME. Settings are the YAML files of "
    "recpipe/conf, or of RECPIPE_CONF.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="Fetch published data, write the sample, look at a delivery.", no_args_is_help=True)
app.add_typer(data, name="data")

out = Console()
err = Console(stderr=True)

FAILED, WRONG_USE = 1, 2


@app.command()
def build(
    models: Annotated[
        str,
        typer.Option(
            help="models to train and report, with commas, or all; the ensemble's and the baselines where not given"
        ),
    ] = "",
    split: Annotated[str, typer.Option(help="the split of the leaderboard; the ensemble's where not given")] = "",
    data: Annotated[str, typer.Option(help="a folder or zip to build from, from now on; or 'sample'")] = "",
    workers: Annotated[
        str, typer.Option(help="a Dask scheduler, tcp://host:8786: its workers carry out the steps; run.yaml's else")
    ] = "",
) -> None:
    """Make what is missing and what is stale, up to the submission; skip what is current.

    That is: the ensemble's members, the baselines of run.yaml beside them, and no other model. --models all measures
    the whole catalogue, which takes hours on large data.

    On another split than the ensemble's, or where --models leaves a member out, no submission is made.
    """
    from recpipe.defs.building import build_line

    project = Project.here()
    if data:
        project.choose_data(data)
    os.environ["DAGSTER_HOME"] = str(_dagster_home(project))
    if not build_line(project, _names(models), split, out, workers):
        raise typer.Exit(FAILED)


@app.command()
def status(
    everything: Annotated[bool, typer.Option("--all", help="list current artifacts too")] = False,
) -> None:
    """What is there, what is stale and why, what is missing."""
    from recpipe.showing import show_status

    show_status(Project.here(), out, everything)


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would go, and remove nothing")] = False,
) -> None:
    """Remove what conf/retention.yaml does not keep: superseded versions, leftovers, checkpoints, logs.

    Also what models and splits left whose YAML is gone. What a leaderboard, a submission, an ensemble or a report was
    made from stays. Refuses beside a build.
    """
    from recpipe.showing import show_waste

    show_waste(Project.here(), out, dry_run)


@app.command("models")
def list_models(
    model: Annotated[str, typer.Argument(help="one model, with every setting and its meaning")] = "",
    new: Annotated[str, typer.Option(help="begin a recipe of your own of this name, from a template that works")] = "",
    family: Annotated[str, typer.Option(help="the folder of recpipe/models that the new one goes to")] = "linear",
) -> None:
    """The catalogue: models, their recipes and settings. With --new it gets another one."""
    from recpipe.showing import show_begun, show_model, show_models

    if new:
        show_begun(Project.here(), new, family, out)
    elif model:
        show_model(Project.here(), model, out)
    else:
        show_models(Project.here(), out)


@app.command()
def curves(
    models: Annotated[list[str], typer.Argument(help="trained models, or all of the split")],
    split: Annotated[
        str, typer.Option(help="the split that they were trained on; the ensemble's where not given")
    ] = "",
    out_file: Annotated[
        Path | None,
        typer.Option("--out", help="a .png, or an .html with the table; home's curves.png else"),
    ] = None,
) -> None:
    """Learning curves of several models overlaid: validation by epoch and by seconds."""
    from recpipe.showing_trainings import show_curves

    show_curves(Project.here(), out, models, split, out_file)


@app.command()
def estimate(
    models: Annotated[list[str] | None, typer.Argument(help="models, or all; a build's where not given")] = None,
    data: Annotated[str, typer.Option(help="a folder or zip, or 'sample'; the current data where not given")] = "",
    split: Annotated[str, typer.Option(help="whose training part; the ensemble's where not given")] = "",
    probe: Annotated[bool, typer.Option(help="correct each formula by one small fit, about a second a model")] = True,
) -> None:
    """What trainings will take, before they start: memory, seconds of an epoch, all epochs up to the budget."""
    from recpipe.showing_trainings import show_estimates

    show_estimates(Project.here(), out, models or [], split=split, source=data, probed=probe)


@app.command()
def search(
    model: Annotated[str, typer.Argument(help="a model of conf/models")],
    trials: Annotated[int | None, typer.Option(min=1, help="in all, those of earlier calls included")] = None,
    split: Annotated[str, typer.Option(help="whose validation part decides; the ensemble's where not given")] = "",
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="of this call; what was found until then counts")
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="processes at the same time")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="trainings a trial, whose mean counts")] = None,
    trial_seconds: Annotated[
        float | None, typer.Option(min=0.1, help="of one training; its best epoch so far then counts")
    ] = None,
    metric: Annotated[str, typer.Option(help="what decides, ndcg@10 for instance; run.yaml's where not given")] = "",
    show: Annotated[bool, typer.Option("--show", help="what was found so far; nothing is tried")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="write the best settings into the model's YAML")] = False,
    force: Annotated[bool, typer.Option("--force", help="with --apply, also where they are no better")] = False,
) -> None:
    """Search for better settings of a model, by the validation part; the same command goes on where it was.

    What is not given stands in conf/search.yaml. The settings of now are the first trial. At the end the best ones and
    they are trained with other seeds, which tells luck from gain. Nothing is changed without --apply.
    """
    from recpipe.defs.searching import search_model, show_so_far

    project = Project.here()
    os.environ["DAGSTER_HOME"] = str(_dagster_home(project))
    asked = {
        "trials": trials,
        "minutes": minutes,
        "jobs": jobs,
        "seeds": seeds,
        "trial_seconds": trial_seconds,
        "metric": metric or None,
    }
    if show:
        show_so_far(project, model, split, asked, out)
    else:
        search_model(project, model, split, asked, out, apply=apply, force=force)


@app.command()
def recommend(
    user: Annotated[str, typer.Option(help="the user's id as in the data")],
    model: Annotated[str, typer.Option(help="one model instead of the submission's blend")] = "",
    k: Annotated[int, typer.Option("--k", min=1, help="how many films")] = 10,
    seen: Annotated[bool, typer.Option("--seen", help="show the films watched last, too")] = False,
) -> None:
    """The films that a user will watch, with titles, years and scores."""
    from recpipe.showing import show_recommendations

    show_recommendations(Project.here(), out, user=user, model=model, k=k, seen=seen)


@app.command()
def compare(
    models: Annotated[
        list[str] | None, typer.Argument(help="two models, head to head; none for all pairs", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="the split; the ensemble's where not given")] = "",
    page: Annotated[
        Path | None, typer.Option(help="where the page is written; studies/ of the home folder else")
    ] = None,
) -> None:
    """Which of two models is better, for whom, and with which films; or all pairs of a split's models.

    From what stands: nothing is trained.
    """
    from recpipe.showing_studies import show_comparison

    show_comparison(Project.here(), out, models or [], split, page)


@app.command()
def robustness(
    models: Annotated[str, typer.Option(help="models, with commas; those of conf/studies.yaml where not given")] = "",
    folds: Annotated[int, typer.Option(help="how many folds; those of conf/studies.yaml where not given")] = 0,
) -> None:
    """How far the models' scores and ranks depend on the split. Trains every model on every fold.

    What is named is remembered in the home folder: the report stays about these models.
    """
    from recpipe.defs.studying import study_robustness

    project = Project.here()
    os.environ["DAGSTER_HOME"] = str(_dagster_home(project))
    if not study_robustness(project, _names(models), folds, out):
        raise typer.Exit(FAILED)


@app.command("split-trust")
def split_trust(
    models: Annotated[str, typer.Option(help="models, with commas; those of conf/studies.yaml where not given")] = "",
    splits: Annotated[str, typer.Option(help="splits, with commas; those of conf/studies.yaml where not given")] = "",
) -> None:
    """How well each split's validation part ranks models as a part laid aside first does.

    Trains every model on every split of what is left. What is named is remembered in the home folder.
    """
    from recpipe.defs.studying import study_splits

    project = Project.here()
    os.environ["DAGSTER_HOME"] = str(_dagster_home(project))
    if not study_splits(project, _names(models), _names(splits), out):
        raise typer.Exit(FAILED)


@app.command()
def look(
    user: Annotated[list[str] | None, typer.Option(help="a user's id as in the data; may be given again")] = None,
    sample: Annotated[int, typer.Option(min=0, help="so many users more, drawn among those with hidden films")] = 0,
    models: Annotated[
        str, typer.Option(help="with commas, 'ensemble' among them; the ensemble and its members where not given")
    ] = "",
    split: Annotated[str, typer.Option(help="the ensemble's where not given")] = "",
    part: Annotated[Literal["test", "valid"], typer.Option(help="whose hidden films are marked")] = "test",
    k: Annotated[int, typer.Option("--k", min=1, help="how many films a list")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="of the draw")] = 0,
    to: Annotated[
        Path | None, typer.Option(help="the page's file; look.html in the home folder where not given")
    ] = None,
) -> None:
    """Write a page: what users watched, what models recommend side by side, why, and which hidden films were found."""
    from recpipe.showing import show_look
    from recpipe.steps.look import Wanted

    wanted = Wanted(tuple(user or ()), sample, seed, tuple(_names(models)), split, part, k)
    show_look(Project.here(), out, wanted, to)


@data.command("download")
def download_data(
    name: Annotated[str, typer.Argument(help="ml-100k, ml-1m, ml-10m, ml-20m, ml-25m, ml-32m or ml-latest-small")],
    base_url: Annotated[str, typer.Option(help="where the archives lie")] = "",
) -> None:
    """Fetch published MovieLens data from GroupLens, with resume and checksum, and show its licence."""
    from recpipe.showing import show_download

    show_download(Project.here(), out, name, base_url)


@data.command("sample")
def write_sample_data(
    folder: Annotated[Path, typer.Argument(help="where to write it, in the competition layout")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Write the generated movie world that recpipe builds from by default."""
    from recpipe.data.sample import write_sample

    write_sample(folder, seed=seed)
    out.print(f"written to {escape(str(folder))}", soft_wrap=True)


@data.command("describe")
def describe_data(
    path: Annotated[Path, typer.Argument(help="a folder or zip in a layout that recpipe reads")],
) -> None:
    """What a delivery holds: its layout, rows, users, films and side tables."""
    from recpipe.showing import show_delivery

    show_delivery(path, out)


@data.command("report")
def report_data(
    data: Annotated[str, typer.Option(help="a folder or zip to build from, from now on; or 'sample'")] = "",
) -> None:
    """Look at the data first: long tail, sessions, drift, side data, years, and what they mean for the split.

    Made, or made anew, where it is not current. What it says is shown; the page with the plots lies beside its figures.
    """
    from recpipe.defs.building import DATA_REPORT, build_aside
    from recpipe.showing import show_data_report

    project = Project.here()
    if data:
        project.choose_data(data)
    os.environ["DAGSTER_HOME"] = str(_dagster_home(project))
    if not build_aside(project, DATA_REPORT, out):
        raise typer.Exit(FAILED)
    show_data_report(project, out)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _dagster_home(project: Project) -> Path:
    from recpipe.instance import dagster_home

    return dagster_home(project)


def main() -> None:
    """Errors that a person can mend are one message, without a trace: exit status 1, 2 for wrong settings."""
    logging.getLogger("dagster").setLevel(logging.ERROR)
    try:
        app()
    except SettingsError as error:
        err.print(f"[red]settings:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(WRONG_USE)
    except (Missing, AtWork, ValueError, LookupError, OSError) as error:
        err.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(FAILED)
