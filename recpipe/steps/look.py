"""Recommendations to look at: users, models and a split into one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from recpipe.blending.blend import Blend, blend
from recpipe.data.ids import UNKNOWN, Ids
from recpipe.data.interactions import NEWCOMER, Histories, LongArray
from recpipe.data.parts import HeldOut, Parts
from recpipe.evaluation.ranking import Ranking, rank
from recpipe.explaining.looking import Listed, Looked, html
from recpipe.explaining.reasons import Reasons, places, reasons
from recpipe.lineage import Lineage, Node, Standing
from recpipe.progress import tell
from recpipe.recipe import Scorer
from recpipe.scoring.top import NO_FILM
from recpipe.settings import Project
from recpipe.steps.ensemble import film_features, year_masker
from recpipe.steps.members import ids_of, scorer_on, stale_members
from recpipe.yaml_files import SettingsError

ENSEMBLE = "ensemble"
"""Among the models: the blend, of the members' lists on its split."""

HiddenPart = Literal["test", "valid"]
NAMES: dict[HiddenPart, str] = {"test": "test", "valid": "validation"}


@dataclass(frozen=True)
class Wanted:
    """What is looked at. users: raw ids; sample: so many more, drawn with the seed. models: names, `ensemble` among
    them; those of the ensemble that stand where empty. split: the ensemble's where empty. part: whose hidden films are
    marked. k: films a list.
    """

    users: Sequence[str] = ()
    sample: int = 0
    seed: int = 0
    models: Sequence[str] = ()
    split: str = ""
    part: HiddenPart = "test"
    k: int = 10


def look(project: Project, wanted: Wanted) -> str:
    """The page, as HTML. Raises `SettingsError` for unknown users and models, `Missing` for what is not made, and
    `Outdated` for what was made from an earlier version of the split.
    """
    split = wanted.split or project.ensemble_split()
    return html(looked(project, wanted), film_features(project, split))


def looked(project: Project, wanted: Wanted) -> Looked:
    """What stands on the page: histories as known before the hidden films, lists, reasons."""
    store = project.store
    split = wanted.split or project.ensemble_split()
    parts: Parts = store.read("split", split)
    held_out = parts.test if wanted.part == "test" else parts.valid
    ids = ids_of(project, split)
    rows = _rows(ids, held_out, wanted)
    histories, targets = _known_and_hidden(parts, held_out, rows)
    models = list(wanted.models) or _standing(project, split)
    lists = {model: _listed(project, model, split, histories, wanted.k) for model in models}
    users = [str(user) for user in ids.raw_users(rows).to_pylist()]
    return Looked(users, histories, targets, lists, _about(project, parts, wanted, split, models))


def _rows(ids: Ids, held_out: HeldOut, wanted: Wanted) -> LongArray:
    """Row numbers of the users named, then of those drawn: of who has hidden films, where anybody has."""
    named = ids.user_rows(pa.array(list(wanted.users), pa.string()))
    for user, row in zip(wanted.users, named, strict=True):
        if row == UNKNOWN:
            some = ", ".join(map(str, ids.users[:3].to_pylist()))
            raise SettingsError(f"--user: {user!r} is not in the data; users are for example {some}")
    among = np.setdiff1d(held_out.targets.users if len(held_out) else np.arange(ids.n_users), named)
    drawn = np.random.default_rng(wanted.seed).choice(among, min(wanted.sample, len(among)), replace=False)
    rows = np.array(list(dict.fromkeys([*named.tolist(), *np.sort(drawn).tolist()])), dtype=np.int64)
    if not len(rows):
        raise SettingsError("nobody to look at: name users with --user, or draw some with --sample")
    return rows


def _known_and_hidden(parts: Parts, held_out: HeldOut, rows: LongArray) -> tuple[Histories, list[list[int]]]:
    """What was known of each user before the hidden films, and these; everything and none where none are hidden."""
    asked = np.isin(rows, held_out.targets.users)
    places_asked = np.searchsorted(held_out.targets.users, rows[asked])
    known = held_out.histories.rows(places_asked)
    others = parts.interactions.histories(rows[~asked])
    trained = np.diff(parts.train.offsets)[others.users] > 0
    both = _joined(known, others, np.concatenate((known.users, np.where(trained, others.users, NEWCOMER))))
    order = np.argsort(np.concatenate((np.flatnonzero(asked), np.flatnonzero(~asked))))
    hidden = {place: held_out.targets.rows(np.array([place])).items.tolist() for place in places_asked.tolist()}
    of_asked = dict(zip(rows[asked].tolist(), places_asked.tolist(), strict=True))
    return both.rows(order), [hidden[of_asked[row]] if row in of_asked else [] for row in rows.tolist()]


def _joined(known: Histories, others: Histories, users: LongArray) -> Histories:
    """The rows of both, one after the other, with these users."""
    ratings = [each.ratings for each in (known, others) if each.ratings is not None]
    return Histories(
        users.astype(np.int32),
        np.concatenate((known.offsets, others.offsets[1:] + known.offsets[-1])),
        np.concatenate((known.items, others.items)),
        np.concatenate((known.times, others.times)),
        np.concatenate(ratings) if len(ratings) == 2 else None,
        others.n_items,
    )


def _standing(project: Project, split: str) -> list[str]:
    """The ensemble's members that are trained on the split, and the blend where it was chosen there."""
    store = project.store
    found = [name for name in project.ensemble_members() if store.record("trained_model", f"{name}|{split}")]
    if not found:
        store.need("trained_model", f"{project.ensemble_members()[0]}|{split}")
    chosen = split == project.ensemble_split() and store.record("ensemble")
    return [*found, ENSEMBLE] if chosen else found


def _listed(project: Project, model: str, split: str, histories: Histories, k: int) -> Listed:
    tell(event="ranking", member=model)
    if model == ENSEMBLE:
        return _blended(project, split, histories, k)
    project.model_settings(model)  # an unknown name is an error that names the nearest
    scorer = scorer_on(project, model, split)
    served = _served([scorer], histories)
    ranking = rank(scorer, histories.rows(served), k)
    told = [
        reasons(scorer, histories.rows(served[[row]]), items[items != NO_FILM])
        for row, items in enumerate(ranking.items)
    ]
    return _for_all(ranking, told, served, len(histories))


def _blended(project: Project, split: str, histories: Histories, k: int) -> Listed:
    """The lists as the ensemble makes them from its members on the split; a film's reason is its places there."""
    if split != project.ensemble_split():
        raise SettingsError(f"--models: {ENSEMBLE} is chosen on the split {project.ensemble_split()}; look at it there")
    settings, store = project.ensemble(), project.store
    chosen: Blend = store.read("ensemble")
    scorers = {member: scorer_on(project, member, split) for member in chosen.used}
    served = _served(list(scorers.values()), histories)
    asked, masker = histories.rows(served), year_masker(project, settings, split)
    most = max(k, settings.candidates)
    lists = {member: rank(scorer, asked, most, masker=masker) for member, scorer in scorers.items()}
    ranking = blend(lists, chosen, asked, k)
    told = [places(lists, row, items[items != NO_FILM]) for row, items in enumerate(ranking.items)]
    return _for_all(ranking, told, served, len(histories))


def _served(scorers: Sequence[Scorer], histories: Histories) -> LongArray:
    """The rows that all of them serve."""
    if all(scorer.serves_newcomers for scorer in scorers):
        return np.arange(len(histories))
    return np.flatnonzero(histories.users != NEWCOMER)


def _for_all(ranking: Ranking, told: Sequence[Reasons], served: LongArray, n_rows: int) -> Listed:
    """Of the rows that were served, among all; nothing for the others."""
    items = np.full((n_rows, ranking.items.shape[1]), NO_FILM, dtype=np.int32)
    scores = np.full(items.shape, -np.inf, dtype=np.float32)
    items[served], scores[served] = ranking.items, ranking.scores
    by_row = dict(zip(served.tolist(), told, strict=True))
    return Listed(Ranking(items, scores), [by_row.get(row) for row in range(n_rows)])


def _about(project: Project, parts: Parts, wanted: Wanted, split: str, models: Sequence[str]) -> list[str]:
    name = NAMES[wanted.part]
    looking = (
        "Looking is not choosing: who picks a model or a setting by what is found in the test part spoils it; "
        "--part valid shows the validation part."
        if wanted.part == "test"
        else "Models that stop early have followed the validation part already, and the ensemble was chosen on it."
    )
    known = "what is known by then: training and validation part" if wanted.part == "test" else "the training part"
    stale = stale_members(project, [model for model in models if model != ENSEMBLE], split)
    if ENSEMBLE in models and Lineage(project).state(Node(ENSEMBLE)).standing is Standing.STALE:
        stale.append(f"the {ENSEMBLE} is stale and was used as it is")
    drawn = f" Users drawn: {wanted.sample}, seed {wanted.seed}." if wanted.sample else ""
    return [
        f"Split {split} (digest {parts.digest()[:12]}): marked are films of its {name} part, on which no model was "
        f"trained. Lists rest on {known}.{drawn}",
        looking,
        *(["; ".join(stale) + "."] if stale else []),
    ]
