"""What the figures of a data report say in words, and what each means for the choice of a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recpipe.profiling.splitting import DatedTest
from recpipe.profiling.years import CLASSIC, RECENT

if TYPE_CHECKING:
    from recpipe.profiling.report import DataReport

FEW_USERS = 1_000
"""Test users below which a hit rate is known to no better than 3 points, at 95 %."""
NOTICEABLE = 0.01


TITLES = {
    "splitting": "Time, and what splits would meet",
    "films": "Films: the long tail",
    "users": "Users: activity and sparsity",
    "sessions": "Sessions",
    "drift": "Drift over time",
    "side": "Side data",
    "years": "Release years and taste",
}
"""In the order of a page: the choice of a split comes first."""


@dataclass(frozen=True)
class Finding:
    """seen: what the figures say. means: for the choice of a split."""

    seen: str
    means: str


def findings(report: DataReport) -> dict[str, Finding]:
    """By the names of `TITLES`. Each sentence follows from figures."""
    return {
        "splitting": Finding(_overlap(report), _leaks(report)),
        "films": Finding(_films(report), _films_and_splits(report)),
        "users": Finding(_users(report), _users_and_splits(report)),
        "sessions": Finding(_sessions(report), _sessions_and_splits(report)),
        "drift": Finding(_drift(report), _drift_and_splits(report)),
        "side": Finding(_side(report), _side_and_splits(report)),
        "years": Finding(_years(report), _years_and_splits(report)),
    }


def _films(report: DataReport) -> str:
    films = report.films
    return (
        f"The busiest fifth of {films.n:,} films has {films.top['0.2']:.0%} of the interactions, the busiest hundredth "
        f"{films.top['0.01']:.0%}; {films.half:,} films have half of all (Gini {films.gini:.2f}). "
        f"{films.below['5']:.0%} of the films have fewer than 5 interactions, {films.below['2']:.0%} just one."
    )


def _films_and_splits(report: DataReport) -> str:
    films = report.films
    return (
        f"A film with one interaction is either learned or looked for, never both: {films.below['2']:.0%} of them. "
        f"by_date takes films with fewer than 5 interactions out of training, {films.below['5']:.0%} or more. Read "
        "every score beside that of popularity, and the reports' tail beside their head."
    )


def _users(report: DataReport) -> str:
    users, extent = report.users, report.extent
    return (
        f"A user has {users.events['median']:,.0f} interactions in the median, {users.events['p10']:,.0f} to "
        f"{users.events['p90']:,.0f} from the tenth to the ninetieth hundredth; the busiest tenth of the users has "
        f"{users.top['0.1']:.0%} of all (Gini {users.gini:.2f}). Of all pairs of user and film "
        f"{extent.density:.2%} occur."
    )


def _users_and_splits(report: DataReport) -> str:
    hides = report.splitting.hides_nothing
    untold = (
        f"With its default settings holdout hides nothing from {hides['holdout']:.1%} of the users, who have too few "
        f"films, and leave_one_out from {hides['leave_one_out']:.1%}: no score tells of them"
        if any(hides.values())
        else "Every user has films enough for holdout and leave_one_out to hide some"
    )
    tenth = f"the busiest tenth weighs a tenth there, and {report.users.top['0.1']:.0%} in training"
    return f"{untold}. Scores are means over users, so {tenth}."


def _sessions(report: DataReport) -> str:
    sessions = report.sessions
    several = (
        f"From a user's session to the next it is {_long(sessions.days_between['median'])} in the median. "
        if sessions.days_between
        else ""
    )
    return (
        f"A pause of more than {sessions.pause // 60} minutes ends a session: {sessions.sessions:,} sessions of "
        f"{sessions.events['median']:,.0f} interactions in the median, {sessions.events['p90']:,.0f} at the ninetieth "
        f"hundredth. {several}{sessions.single:.0%} of the users have a single one, and the largest has "
        f"{sessions.largest['median']:.0%} of the median user's interactions. {sessions.tied:.0%} of the interactions "
        "share their second with another of their user."
    )


def _sessions_and_splits(report: DataReport) -> str:
    splitting = report.splitting
    meaning = (
        "nobody watches two films within half an hour, so that is an order of entering, not of watching, and scores of "
        "models that read it say how well they follow a list"
        if splitting.same_session > 0.5
        else "most test films were chosen on another occasion than the one before"
    )
    return (
        f"The test film of leave_one_out follows the film before it within the same session for "
        f"{splitting.same_session:.0%} of the users: {meaning}. For {splitting.tied:.0%} both have the same second, "
        "and the order of delivery decides which of them is hidden."
    )


def _drift(report: DataReport) -> str:
    drift = report.drift
    table = drift.rank_correlation
    if drift.neighbours is None or drift.drawn is None or table[0][-1] is None:
        return "There is too little to compare the films' popularity over time."
    return (
        f"In four parts of equal size, one after another in time, the films' popularity has a rank correlation of "
        f"{drift.neighbours:.2f} from one to the next and of {table[0][-1]:.2f} from the first to the last; parts "
        f"drawn at random would have {drift.drawn:.2f}. In the last part {drift.last_part_new_users:.0%} of the "
        f"interactions are of users, and {drift.last_part_new_films:.1%} of films, that the parts before do not have."
    )


def _drift_and_splits(report: DataReport) -> str:
    drift = report.drift
    if drift.neighbours is None or drift.drawn is None:
        return "A split by date would have nothing to be judged by."
    gap = drift.drawn - drift.neighbours
    moves = (
        f"Popularity moves by {gap:.2f} more than chance from part to part: a split that draws hides this, one by date "
        "shows it"
        if gap > 0.05
        else "Popularity hardly moves: a drawn split and one by date would meet much the same films"
    )
    return (
        f"{moves}. {drift.last_part_new_users:.0%} of what comes last is of users who were not there before: a split "
        "within users gives each of them a training part, which they do not have on the day they come; by_date asks "
        "about them as they come, strong about people of whom no model has learned."
    )


def _side(report: DataReport) -> str:
    told = ", ".join(
        f"{name} {field.films:.0%} ({field.interactions:.0%})" for name, field in report.side.fields.items()
    )
    return (
        f"Known of the watched films, and in brackets weighed by interactions: {told}. Of {report.side.nothing:.1%} of "
        f"them nothing but perhaps a title is known. The side tables have {report.side.unwatched:,} films that nobody "
        "watched."
    )


def _side_and_splits(report: DataReport) -> str:
    new = report.drift.last_part_new_films
    return (
        f"A film that training does not have can be found by its side data alone: {new:.1%} of the interactions in the "
        "last quarter are of such films. holdout and leave_one_out keep the few that they meet as targets; by_date and "
        "strong drop them, so neither shows what side data could do for new films."
    )


def _years(report: DataReport) -> str:
    years = report.years
    if years is None:
        return "No film's release year is known."
    before = (
        f"{years.before_release['0']:.2%} are dated after the year of the watch, {years.before_release['1']:.2%} by "
        "more than a year: errors in the data, or other releases."
        if years.before_release["0"]
        else "None is dated after the year of the watch."
    )
    return (
        f"A watched film is {years.age['median']:,.0f} years old in the median; {years.recent:.0%} are at most "
        f"{RECENT} years old, {years.classic:.0%} more than {CLASSIC}. {before} The "
        f"middle half of a user's films spans {_told(years.width, 'median')} years in the median, its middle lies in "
        f"{_told(years.middle, 'p10')} to {_told(years.middle, 'p90')} for eight users in ten. "
        f"{years.recent_users:.0%} of the users watch recent films for the most part, {years.classic_users:.0%} "
        f"classics; {years.between:.0%} of the variance of release years lies between users, where chance alone gives "
        f"{years.between_by_chance:.0%}."
    )


def _told(quantiles: dict[str, float], name: str) -> str:
    return f"{quantiles[name]:.0f}" if quantiles else "?"


def _years_and_splits(report: DataReport) -> str:
    years = report.years
    if years is None:
        return "release_year_filter has nothing to go by."
    taken = years.forbidden["1"]
    verdict = "costs real hits" if taken > NOTICEABLE else "costs next to nothing"
    return (
        f"A release-year filter with a tolerance of 1 year, judged in the order of time, would have taken away "
        f"{taken:.2%} of what was really watched ({years.forbidden['0']:.2%} without tolerance): it {verdict}. A split "
        "that draws cannot judge it, since the known history there reaches past the hidden film; one in the order of "
        "time can."
    )


def _overlap(report: DataReport) -> str:
    splitting = report.splitting
    if not splitting.span:
        return "No user has several films, so there is nothing to split by time within users."
    repeats = (
        f"{splitting.repeated:.1%} of the interactions repeat a film, and splits drop them."
        if splitting.repeated
        else "No interaction repeats a film."
    )
    return (
        f"From a user's first film to the last it is {_long(splitting.span['median'])} in the median; "
        f"{splitting.one_day:.0%} of the users with several films are done within a day. Of all pairs of users "
        f"{splitting.overlap:.0%} were there at the same time at some moment; of the others one had left before the "
        f"other came. {repeats}"
    )


def _leaks(report: DataReport) -> str:
    splitting = report.splitting
    by_user = (
        f"leave_one_out, ratio_time and holdout hide a user's latest films, yet {splitting.later_training:.0%} of the "
        "training part is later than the average test film of leave_one_out: what others watched afterwards is known, "
        "which it would not be in use. "
    )
    drawn = (
        "ratio_random, folds and the drawn part of holdout leak the user's own future as well: from a film to its "
        f"user's last one it is {_long(splitting.before_last['median'])} in the median. "
    )
    return by_user + drawn + _dated(splitting.by_date, report.extent.users)


def _long(days: float) -> str:
    """A span of time in the unit that suits it."""
    if days >= 1:
        return f"{days:,.1f} days"
    return f"{24 * days:.1f} hours" if days * 24 >= 1 else f"{24 * 60 * days:.0f} minutes"


def _dated(tests: list[DatedTest], users: int) -> str:
    if not tests:
        return "by_date has nothing left to train on with any number of days that was tried."
    told = ", ".join(
        f"{test.days} days {test.users:,} users ({test.users / users:.1%}), {test.new_users:.0%} of them new"
        for test in tests
    )
    most = max(tests, key=lambda test: test.users)
    if not most.users:
        return f"by_date leaks nothing, and leaves nobody to test with: {told}."
    sure = 0.98 / most.users**0.5  # 1.96 standard deviations of a share of one half
    verdict = (
        f"even {most.days} days leave so few that a hit rate is known to no better than {sure:.0%} either way (95 %)"
        if most.users < FEW_USERS
        else f"{most.days} days leave enough, a hit rate is known to {sure:.1%} either way or better (95 %)"
    )
    return f"by_date alone leaks nothing. It tests with: {told}; {verdict}."
