"""Ten films for every user: the chosen members, refitted on all the data, blended, validated and handed in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recpipe.blending.blend import Blend, blend
from recpipe.blending.submission import SUBMISSION_FILE, Submission
from recpipe.data.parts import Parts
from recpipe.evaluation.ranking import Ranking, rank
from recpipe.lineage import FULL
from recpipe.settings import Project
from recpipe.steps.ensemble import year_masker
from recpipe.steps.members import ids_of, scorers_on, stale_members
from recpipe.storage import file_digest, replace_text

if TYPE_CHECKING:
    from recpipe.validation.outcome import Outcome


@dataclass(frozen=True)
class Submitted:
    """A submission, the blend that its lists are from, the figures for its record, what a person should know of it."""

    submission: Submission
    blend: Blend
    figures: dict[str, Any]
    notes: tuple[str, ...]


def submission(project: Project) -> Submitted:
    """Lists of `k` films for every user with any history. Gaps that the release-year filter leaves are filled.

    A member that was not refitted on all the data as they are now is left out; the others have its weight.
    """
    store, settings = project.store, project.ensemble()
    decided: Blend = store.read("ensemble")
    parts: Parts = store.read("split", FULL)
    ids = ids_of(project, FULL)
    scorers, notes = scorers_on(project, decided.used, FULL)
    chosen, histories = decided.limited_to(scorers), parts.everyone
    masker = year_masker(project, settings, FULL)
    lists = {m: rank(scorer, histories, settings.candidates, masker=masker) for m, scorer in scorers.items()}
    ranking = blend(lists, chosen, histories, settings.k)
    if masker is not None:
        unfiltered = {m: rank(scorer, histories, settings.candidates) for m, scorer in scorers.items()}
        ranking = ranking.filled_from(blend(unfiltered, chosen, histories, settings.k))
    made = Submission.build(
        ranking, np.array(ids.raw_users(histories.users)), np.array(ids.raw_items(np.arange(ids.n_items)))
    )
    figures = {
        "users": len(histories),
        "films a user": settings.k,
        "members": chosen.used,
        "alone on validation": dict(chosen.member_scores),
        "why": dict(chosen.reasons),
        **_spread(ranking),
    }
    stale = [note for split in (settings.split, FULL) for note in stale_members(project, chosen.used, split)]
    return Submitted(made, chosen, figures, (chosen.verdict, *notes, *stale))


def validated(project: Project, made: Submission) -> Outcome:
    """The submission suite against everything that is known of users and films."""
    from recpipe.validation.submission import validate_submission

    ids = ids_of(project, FULL)
    histories = project.store.read("split", FULL).everyone
    users, films = np.array(ids.raw_users(histories.users)), np.array(ids.items)
    return validate_submission(made.table(), project.ensemble().k, users, films, histories.matrix())


def publish_file(project: Project, folder: Path) -> None:
    """Put the submission in `folder` where people look for it, in one atomic replacement.

    That is the home folder, and beside the artifacts where these lie on a storage of their own.
    """
    text = (folder / SUBMISSION_FILE).read_text(encoding="utf-8")
    replace_text(project.submission_file, text)
    project.store.backend.put_beside(project.submission_file.name, text)


def place_file(project: Project) -> None:
    """Put the current submission into the home folder where another machine has made it."""
    made = project.store.folder("ensemble_submission") / SUBMISSION_FILE
    if not project.submission_file.exists() or file_digest(project.submission_file) != file_digest(made):
        replace_text(project.submission_file, made.read_text(encoding="utf-8"))


def _spread(ranking: Ranking) -> dict[str, Any]:
    return {"films recommended to somebody": len(np.unique(ranking.items))}
