"""What the command line shows: status, models, leaderboards, recommendations, deliveries."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Column, Table

from recpipe.lineage import FULL, Lineage, Node, Standing, arrival_node, model_node
from recpipe.lock import only_builder
from recpipe.settings import Project
from recpipe.space import told_bytes
from recpipe.storage import VIEWS, replace_text
from recpipe.upkeep import SUBMISSION, kept
from recpipe.yaml_files import SettingsError

if TYPE_CHECKING:
    from recpipe.data.ids import Ids
    from recpipe.data.interactions import Histories, Interactions
    from recpipe.recipe import Recipe
    from recpipe.steps.look import Wanted

COLOURS = {Standing.CURRENT: "green", Standing.STALE: "yellow", Standing.MISSING: "red"}


BROUGHT = ("repeated", "late", "new_users", "new_films")
"""What is shown of what an arrival brought, as `recpipe.data.joining.counted` names it."""


def line_nodes(lineage: Lineage) -> list[Node]:
    """Every artifact of the line that stands or that the submission needs."""
    return list(dict.fromkeys([*lineage.line_to(SUBMISSION), *kept(lineage)]))


def show_status(project: Project, out: Console, everything: bool) -> None:
    """Missing and stale artifacts with the reason; current ones on request; a count of each."""
    lineage = Lineage(project)
    table = Table("artifact", "standing", "why", "made", box=None)
    counts: Counter[str] = Counter()
    for node in line_nodes(lineage):
        try:
            state = lineage.state(node)
        except SettingsError as error:
            counts["with unusable settings"] += 1
            table.add_row(escape(str(node)), "[red]settings[/red]", escape(str(error)), "")
            continue
        counts[state.standing] += 1
        record = project.store.record(node.asset, node.partition)
        if everything or state.standing is not Standing.CURRENT:
            why = ", ".join(f"{name} changed" for name in state.why)
            colour = COLOURS[state.standing]
            table.add_row(
                escape(str(node)),
                f"[{colour}]{state.standing}[/{colour}]",
                escape(why),
                record.written_at if record else "",
            )
    out.print(escape(f"data: {project.dataset().source}; home: {project.address}"), soft_wrap=True)
    if table.row_count:
        out.print(table)
    out.print(", ".join(f"{count} {standing}" for standing, count in sorted(counts.items())))
    show_arrivals(lineage, out)
    show_members(project, out)


def show_members(project: Project, out: Console) -> None:
    """Who is in the submission, with what weight and why, and who is not; what its notes say."""
    submission = project.store.record("ensemble_submission")
    if submission is None:
        return
    used, alone, why = (submission.figures.get(name, {}) for name in ("members", "alone on validation", "why"))
    table = Table("member of the submission", "weight", "alone, on validation", "why", box=None)
    for member in sorted(alone, key=lambda each: (-used.get(each, 0.0), -alone[each])):
        table.add_row(escape(member), f"{used.get(member, 0.0):.3f}", f"{alone[member]:.4f}", why.get(member, ""))
    if table.row_count:
        out.print(table)
    for note in submission.notes:
        out.print(escape(note), highlight=False, soft_wrap=True)


def show_arrivals(lineage: Lineage, out: Console) -> None:
    """One row a file that arrived after the source: its rows, and what it brought; nothing where there are none."""
    project = lineage.project
    accepted = project.store.record("accepted_ratings")
    brought = accepted.figures.get("arrivals", {}) if accepted else {}
    headings = ["standing", "rows", "rejected", *(what.replace("_", " ") for what in BROUGHT)]
    narrow = [Column(heading, no_wrap=True) for heading in headings]
    table = Table(Column("arrival", overflow="fold"), *narrow, box=None)
    for name in project.arrivals():
        state = lineage.state(arrival_node(name))
        record, told = project.store.record("arrival", name), brought.get(name, {})
        figures = record.figures if record else {}
        counts = [figures.get("rows"), figures["rows"] - figures["sound"] if figures else None]
        counts += [told.get(what) for what in BROUGHT]
        cells = ["" if count is None else f"{count:,}" for count in counts]
        table.add_row(escape(name), f"[{COLOURS[state.standing]}]{state.standing}[/{COLOURS[state.standing]}]", *cells)
    if table.row_count:
        out.print(table)
    for note in accepted.notes if accepted else []:
        out.print(escape(note), highlight=False, soft_wrap=True)


def show_waste(project: Project, out: Console, dry_run: bool) -> None:
    """What may go, why and how large it is; gone afterwards, unless `dry_run`. Raises `AtWork` beside a build."""
    from recpipe.retention import remove, waste

    with nullcontext() if dry_run else only_builder(project, wait=False):
        found = waste(project, datetime.now(UTC), ghosts=True)
        table = Table("what", "why", "size", box=None)
        for each in found:
            table.add_row(escape(each.what), escape(each.why), told_bytes(each.size))
        if found:
            out.print(table)
        if not dry_run:
            remove(project, found)
    size = told_bytes(sum(each.size for each in found))
    out.print(f"{size} in {len(found)} pieces {'would go' if dry_run else 'removed'}")


def show_models(project: Project, out: Console) -> None:
    """One row a model: recipe, family, what the recipe is, and the settings that differ from its defaults."""
    from recpipe.models.catalog import family

    table = Table("model", "recipe", "family", "settings", box=None)
    for model in project.model_names():
        recipe = project.recipe(model)
        changed = recipe.model_dump(exclude_defaults=True)
        settings = ", ".join(f"{name} {value}" for name, value in changed.items()) or "defaults"
        table.add_row(model, recipe.recipe_name(), family(recipe.recipe_name()), settings)
    out.print(table)


def show_model(project: Project, model: str, out: Console) -> None:
    """Every setting of one model, with its meaning, and where its recipe comes from."""
    from recpipe.vocabulary import VOCABULARY

    recipe = project.recipe(model)
    out.print(f"[bold]{model}[/bold]: {recipe.recipe_name()}")
    out.print(escape(cleandoc(type(recipe).__doc__ or "")), highlight=False)
    table = Table("setting", "value", "meaning", box=None)
    for name, value in recipe.model_dump().items():
        table.add_row(name, str(value), VOCABULARY[name])
    out.print(table)
    if project.store.record("interactions"):
        out.print(_cost_in_words(recipe, project.store.read("interactions").interactions), highlight=False)


def show_begun(project: Project, name: str, family: str, out: Console) -> None:
    """Begin a model, and show its files and what remains to be done."""
    from recpipe.starting.new_model import begin_model

    begun = begin_model(project, name, family)
    for path in begun.files:
        out.print(f"[bold green]written:[/bold green] {escape(str(path))}", highlight=False, soft_wrap=True)
    out.print("what remains:")
    for number, each in enumerate(begun.remains, start=1):
        out.print(f"{number}. {escape(each)}", highlight=False, soft_wrap=True)


def _cost_in_words(recipe: Recipe, interactions: Interactions) -> str:
    """What a training on all current interactions takes, as the recipe estimates it."""
    from recpipe.costs import Shape, in_words

    cost = recipe.cost(Shape.of(interactions))
    times = " an epoch" if "epochs" in type(recipe).model_fields else ""
    return f"on the current interactions: about {in_words(cost.memory)}, {cost.seconds:.1f} CPU seconds{times}"


def show_leaderboard(project: Project, split: str, out: Console) -> None:
    """The models of a split, the best first, in the width of a terminal; Dagster's page has all the columns."""
    board = project.store.read("leaderboard", split)
    out.print(f"[bold]{split}[/bold], by {board.metric} (split digest {board.split_digest[:12]})", highlight=False)
    table = Table("", "model", board.metric, "95 % interval", "to the best", "p", "seconds", "MiB", box=None)
    for row in board.table.to_pylist():
        best = row["p"] is None
        table.add_row(
            str(row["rank"]), row["model"], f"{row['score']:.4f}", f"{row['low']:.4f} – {row['high']:.4f}",
            "" if best else f"{row['difference']:+.4f}", "" if best else f"{row['p']:.4f}",
            f"{row['seconds']:.1f}", f"{row['memory'] / 2**20:.0f}",
        )  # fmt: skip
    out.print(table)


def show_recommendations(project: Project, out: Console, *, user: str, model: str, k: int, seen: bool) -> None:
    """A user's films from one model, or from the members of the submission."""
    from recpipe.blending.blend import blend
    from recpipe.evaluation.ranking import rank
    from recpipe.scoring.top import NO_FILM
    from recpipe.steps.ensemble import film_features, year_masker
    from recpipe.steps.members import ids_of, scorer_on, scorers_on

    split = _stored_on(project, model) if model else FULL
    ids, films = ids_of(project, split), film_features(project, split)
    histories = _history_of(project, user, ids_of(project, FULL))
    if model:
        scorers = {model: scorer_on(project, model, split)}
        ranking = rank(scorers[model], histories, k)
    else:
        settings, chosen = project.ensemble(), project.store.read("ensemble")
        scorers, notes = scorers_on(project, chosen.used, split)
        most, masker = max(k, settings.candidates), year_masker(project, settings, split)
        lists = {member: rank(scorer, histories, most, masker=masker) for member, scorer in scorers.items()}
        ranking = blend(lists, chosen.limited_to(scorers), histories, k)
        for note in notes:
            out.print(escape(note), highlight=False, soft_wrap=True)
    if seen:
        out.print(_films(f"watched last by {user}", histories.items[::-1][:k], films, ids, None))
    by, found = model or " + ".join(scorers), ranking.items[0] != NO_FILM
    out.print(_films(f"for {user}, by {by}", ranking.items[0][found], films, ids, ranking.scores[0][found]))


def show_look(project: Project, out: Console, wanted: Wanted, to: Path | None) -> None:
    """Write the page and say where; each model is named while it ranks."""
    from recpipe.progress import listening
    from recpipe.steps.look import look

    page = to or project.home / "look.html"
    with out.status("reading") as status, listening(lambda news: status.update(" ".join(map(str, news.values())))):
        text = look(project, wanted)
    replace_text(page, text)
    out.print(f"[bold green]page:[/bold green] {escape(str(page.absolute()))}", soft_wrap=True)


def show_delivery(path: Path, out: Console) -> None:
    """Rows of every table of a delivery, and the span of time."""
    from recpipe.data.readers import read

    table = Table("table", "rows", "columns", box=None)
    for name, each in read(path).by_name().items():
        table.add_row(name, f"{each.num_rows:,}", ", ".join(each.column_names))
    out.print(table)


def show_data_report(project: Project, out: Console) -> None:
    """What the data report says, section by section, and where its page and figures lie."""
    from recpipe.profiling.findings import TITLES, findings
    from recpipe.profiling.report import FIGURES, PAGE

    told = findings(project.store.read("data_report"))
    for name, title in TITLES.items():
        out.print(f"[bold]{title}[/bold]")
        out.print(escape(told[name].seen), highlight=False)
        out.print(f"[dim]For the split:[/dim] {escape(told[name].means)}\n", highlight=False)
    folder = project.store.folder("data_report")
    out.print(f"[bold green]page:[/bold green] {escape(str(folder / VIEWS / PAGE))}", soft_wrap=True)
    out.print(f"figures: {escape(str(folder / FIGURES))}", highlight=False, soft_wrap=True)


def show_download(project: Project, out: Console, name: str, base_url: str) -> None:
    """Fetch an archive with a progress bar, show its licence and what to do next."""
    from recpipe.data.download import download

    bar = Progress(*Progress.get_default_columns()[:1], BarColumn(), DownloadColumn(), TransferSpeedColumn(),
                   TimeRemainingColumn(), console=out)  # fmt: skip
    given: dict[str, Any] = {"base_url": base_url} if base_url else {}
    with bar:
        task = bar.add_task(name, total=None)
        fetched = download(
            name,
            project.home / "raw",
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **given,
        )
    folder = escape(str(fetched.folder))
    out.print(escape(fetched.licence), highlight=False)
    out.print(
        f"[bold green]fetched:[/bold green] {folder}; now: recpipe build --data {folder}",
        soft_wrap=True,
    )


def _history_of(project: Project, user: str, ids: Ids) -> Histories:
    import numpy as np
    import pyarrow as pa

    row = ids.user_rows(pa.array([user]))
    if row[0] < 0:
        some = ", ".join(map(str, ids.users[:3].to_pylist()))
        raise SettingsError(f"--user: {user!r} is not in the data; users are for example {some}")
    everyone: Histories = project.store.read("split", FULL).everyone
    return everyone.rows(np.asarray(row))


def _stored_on(project: Project, model: str) -> str:
    """The split that the model stands on: everything, or else the ensemble's."""
    project.model_settings(model)  # an unknown name is an error that names the nearest
    for split in (FULL, project.ensemble_split()):
        node = model_node(model, split)
        if project.store.record(node.asset, node.partition):
            return split
    return FULL


def _films(title: str, rows: Any, films: Any, ids: Any, scores: Any) -> Table:
    table = Table("", "film", "title", "year", *([] if scores is None else ["score"]), title=escape(title), box=None)
    raw = ids.raw_items(rows).to_pylist()
    for place, (row, item) in enumerate(zip(rows, raw, strict=True), start=1):
        year = str(films.years[row]) if films.years[row] else ""
        score = [] if scores is None else [f"{scores[place - 1]:.4f}"]
        table.add_row(str(place), escape(str(item)), escape(films.titles[row]), year, *score)
    return table
