"""What a change reruns, by itself: one condition for all assets, and the sensor that asks it.

The condition is this project's own, because the artifacts' records know exactly what is stale; Dagster's own conditions
follow events of one instance and would retrain everything on a new one. It needs the code server to be evaluated, which
the sensor asks for.
"""

from collections.abc import Iterable
from functools import lru_cache

import dagster as dg

from recpipe.defs.betas import accepted
from recpipe.lineage import Lineage, Node, Standing
from recpipe.settings import Project
from recpipe.upkeep import ON_REQUEST, Due, due


class IsDue(dg.AutomationCondition):
    """True for the partitions of an asset that a change made stale and that can be made now; see `recpipe.upkeep`.

    It is asked after the conditions on runs under way, and looks at the records once more: a run that has ended since
    this tick began has published before it ended, so nothing is made a second time.
    """

    @property
    def name(self) -> str:
        return "due"

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        asset = context.key.to_user_string()
        lineage = Lineage(Project.here())
        found = [node for node in _due(context.evaluation_time.timestamp()).nodes if node.asset == asset]
        nodes = {node for node in found if lineage.state(node).standing is not Standing.CURRENT}
        if context.partitions_def is None:
            subset = context.candidate_subset if Node(asset) in nodes else context.get_empty_subset()
        else:
            keys = {str(node.partition) for node in nodes}
            subset = context.candidate_subset.compute_intersection_with_partition_keys(keys)
        return dg.AutomationResult(context, subset)


def following(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets, each rerun when neither it nor what goes into it is being made, and it is due.

    Those of `ON_REQUEST` are never due, and have no condition.
    """
    idle = ~dg.AutomationCondition.in_progress() & ~dg.AutomationCondition.any_deps_in_progress()
    when = (idle & IsDue()).with_label("nothing it needs is being made, and it is due")

    def followed(spec: dg.AssetSpec) -> dg.AssetSpec:
        asked_for = spec.key.to_user_string() in ON_REQUEST
        return spec if asked_for else spec.replace_attributes(automation_condition=when)

    return [asset.map_asset_specs(followed) for asset in assets]


def following_sensor() -> dg.AutomationConditionSensorDefinition:
    """Runs what is due. On by default: what was never built is not begun, so a new home stays quiet."""
    settings = Project.here().automation()
    with accepted():  # the one way to evaluate a condition of one's own
        return dg.AutomationConditionSensorDefinition(
            "follow_changes",
            target=dg.AssetSelection.all(),
            use_user_code_server=True,
            emit_backfills=False,
            minimum_interval_seconds=settings.look_every,
            run_tags={"recpipe/because": "a change"},
            default_status=_status(settings.follow_changes),
            description="Reruns what a changed file or setting made stale, of all that was built once.",
        )


def _status(on: bool) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED


@lru_cache(maxsize=1)
def _due(tick: float) -> Due:
    """Once a tick: all assets are asked at the same moment."""
    return due(Project.here())
