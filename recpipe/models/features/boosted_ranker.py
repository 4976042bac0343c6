"""Gradient-boosted trees that put the candidates of other models into one order, told what is known of user and film.

Burges, "From RankNet to LambdaRank to LambdaMART: An Overview" (2010). The trees: Ke, Meng, Finley, Wang, Chen, Ma, Ye
and Liu, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree" (NIPS 2017).
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self, final

import lightgbm
import numpy as np
from pydantic import Field, model_validator

from recpipe.costs import DOUBLE, FLOAT, RANKED, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.models.catalog import recipe_class, recipe_modules
from recpipe.recipe import Recipe, Run
from recpipe.scoring.boosted_trees import BoostedTrees
from recpipe.scoring.pair_features import Films, names
from recpipe.training.candidates import Examples, Member, examples, hold_back
from recpipe.training.endings import TIME_BUDGET
from recpipe.yaml_files import nearest, parse

OBJECTIVES = {"lambdarank": "lambdarank", "logistic": "binary"}
JUDGES = 0.1
"""The share of users whose lists say when there are trees enough."""
CUT_OFF = 10
NAMED = 0.5
"""The share of hidden films that members name among their hundred best, for which a cost is estimated."""


@final
class BoostedRanker(Recipe):
    """LambdaMART (Burges 2010) over the union of the members' `candidates` best films for each user.

    Each user's `hidden_last` latest films, and `hidden_random` drawn ones, are hidden, at most a fifth. The members
    learn from the rest, name their candidates, and trees learn to put the hidden ones first. Then the members learn
    from everything, and the trees rank what they name. So no score that the trees learn from is of a film that its
    member has seen in the user's history: members that had would seem to know, and the trees would believe them.

    hidden_films: share of films hidden from everybody, as if nobody had watched them yet; without any, trees learn that
    a film without watchers is never right. A member has to name such films, one that knows side data.

    The trees are told each member's score and place, the film's watchers and year, how many films the user has watched,
    of which popularity and years, and how much the film's genres, directors and writers are the user's, ever and
    lately.

    members: by name (letters, digits, _ and -), a recipe and its settings as in a YAML of conf/models. loss:
    "lambdarank", whose gradients weigh each pair of a user's films by what changing places would do to NDCG, or
    "logistic", a film at a time. negatives: candidates not watched that are learned from for each one watched (balanced
    sampling), drawn. trees: at most; a tenth of the users, whom no tree learns from, says by NDCG@10 when `patience`
    trees have brought nothing.

    Departures: none of the trees; candidates, features and folds are the program's own.
    """

    uses_features: ClassVar[bool] = True
    memory_hint: ClassVar[str] = "set fewer candidates or negatives, or members that take less memory"

    members: dict[str, dict[str, Any]] = Field(
        default={"ease": {"recipe": "ease"}, "item_knn": {"recipe": "item_knn"}}, min_length=1
    )
    candidates: int = Field(default=100, ge=1)
    hidden_last: int = Field(default=5, ge=0)
    hidden_random: int = Field(default=5, ge=0)
    hidden_films: float = Field(default=0.0, ge=0.0, lt=1.0)
    loss: Literal["lambdarank", "logistic"] = "lambdarank"
    negatives: int = Field(default=20, ge=1)
    trees: int = Field(default=500, ge=1)
    leaves: int = Field(default=31, ge=2)
    learning_rate: float = Field(default=0.05, gt=0.0)
    patience: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _members_are_recipes(self) -> Self:
        if not self.hidden_last + self.hidden_random + self.hidden_films:
            raise ValueError(
                "hidden_last, hidden_random and hidden_films are 0: a ranker learns from films that are hidden"
            )
        for name, settings in self.members.items():
            if not re.fullmatch("[A-Za-z0-9_-]+", name):
                raise ValueError(f"members: {name!r}: a name of letters, digits, _ and - is wanted")
            if settings.get("recipe") == self.recipe_name():
                raise ValueError(f"members: {name}: another recipe than this one is wanted")
            self.member(name)
        return self

    def member(self, name: str) -> Recipe:
        """A member's recipe. Raises ValueError, which names the member, the key and the nearest valid one."""
        settings = dict(self.members[name])
        if "recipe" not in settings:
            raise ValueError(f"members: {name}: the key 'recipe' is missing; name one recipe")
        kind, modules = str(settings.pop("recipe")), recipe_modules()
        if kind not in modules:
            raise ValueError(f"members: {name}: recipe: no recipe is called {kind!r}{nearest(kind, modules)}")
        return parse(recipe_class(kind), settings, f"members: {name}")

    def fit(self, train: TrainingSet, run: Run) -> BoostedTrees:
        """Members twice, trees once, each with an equal part of the time budget. Reports trees, best_valid (NDCG@10 of
        the users kept aside), stopped ("time budget" also where a member's part cut it short), and importance, each
        column's share of what all splits of the trees brought.
        """
        started, random = time.monotonic(), run.random()
        known, wanted = hold_back(train, self.hidden_last, self.hidden_random, self.hidden_films, random)
        each = run
        if run.time_budget is not None:
            each = replace(run, time_budget=run.time_budget / (2 * len(self.members) + 1))
        teachers = self._learned(known, each)
        told = examples(teachers, known, wanted, self.candidates, self.negatives, random)
        members = self._learned(train, each)
        left = None if run.time_budget is None else run.time_budget - (time.monotonic() - started)
        trees = self._trees(told, replace(run, time_budget=left), random)
        if any(member.cut_short for member in (*teachers.values(), *members.values())):
            run.report(stopped=TIME_BUDGET)
        scorers = {name: member.scorer for name, member in members.items()}
        return BoostedTrees(scorers, Films.of(train), trees, self.candidates)

    def cost(self, shape: Shape) -> Cost:
        """The dearest member's, all members' scores of a block of users, and a row of columns for each candidate that
        the trees learn from: as told, and once more in LightGBM's bins.
        """
        members = [self.member(name).cost(shape) for name in self.members]
        columns = len(names(tuple(self.members)))
        found = NAMED * (self.hidden_last + self.hidden_random)
        pairs = shape.n_users * found * (1 + self.negatives)
        block = RANKED * shape.n_items * (FLOAT * (len(members) + 8) + DOUBLE * 4)
        told = 1.5e-7 * shape.n_users * shape.n_items * len(members)
        seconds = 2 * sum(each.seconds for each in members) + told + 2e-8 * pairs * self.trees
        memory = max(each.memory for each in members) + block + 3 * FLOAT * columns * pairs
        return Cost(int(memory), seconds, 0)

    def _learned(self, train: TrainingSet, run: Run) -> dict[str, Member]:
        return {name: Member.learned(self.member(name), train, run, name) for name in self.members}

    def _trees(self, told: Examples, run: Run, random: np.random.Generator) -> str:
        judging = random.random(int(told.users.max()) + 1)[told.users] < JUDGES
        if judging.all() or not told.rows(judging).watched.any():
            judging = np.zeros_like(judging)
        columns = names(tuple(self.members))
        learned = _data(told.rows(~judging), columns)
        judges = [_data(told.rows(judging), columns, learned)] if judging.any() else []
        settings = {
            "objective": OBJECTIVES[self.loss], "metric": "ndcg", "eval_at": [CUT_OFF], "num_leaves": self.leaves,
            "learning_rate": self.learning_rate, "seed": run.seed, "deterministic": True, "force_row_wise": True,
            "verbosity": -1,
        }  # fmt: skip
        clock = _InTime(run.time_budget)
        watchers: list[Any] = [clock]
        watchers += [lightgbm.early_stopping(self.patience, verbose=False)] if judges else []
        booster = lightgbm.train(settings, learned, self.trees, valid_sets=judges, callbacks=watchers)
        used = booster.best_iteration if booster.best_iteration > 0 else booster.num_trees()
        gains = booster.feature_importance("gain", used)
        shares = (gains / max(gains.sum(), 1e-12)).round(6).tolist()
        enough = "patience" if booster.num_trees() < self.trees else "trees"
        run.report(
            trees=used,
            best_valid=float(booster.best_score["valid_0"][f"ndcg@{CUT_OFF}"]) if judges else None,
            stopped=TIME_BUDGET if clock.is_up else enough,
            importance=dict(zip(columns, shares, strict=True)),
        )
        return booster.model_to_string(num_iteration=used)


def _data(told: Examples, columns: list[str], like: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
    """like: the data whose bins are taken over."""
    return lightgbm.Dataset(
        told.columns, told.watched.astype(np.float32), group=told.group_sizes(), feature_name=columns, reference=like
    )


class _InTime:
    """Ends the trees when the time is up; those so far count."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds, self._started = seconds, time.monotonic()
        self.is_up = False

    def __call__(self, state: lightgbm.callback.CallbackEnv) -> None:
        self.is_up = self._seconds is not None and time.monotonic() - self._started >= self._seconds
        if self.is_up:
            raise lightgbm.callback.EarlyStopException(state.iteration, state.evaluation_result_list or [])
