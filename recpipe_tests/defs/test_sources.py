"""Sources in Dagster's lineage: new versions are noted once, YAML files come and go as partitions."""

import dagster as dg
import pytest


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def look(instance, cursor=None):
    from recpipe.defs.sources import sources_sensor

    return sources_sensor()(dg.build_sensor_context(instance=instance, cursor=cursor))


def noted(result):
    return sorted((event.asset_key.to_user_string(), event.partition) for event in result.asset_events)


def test_every_source_is_noted_once_and_then_only_what_changed(project, planner, instance):
    first = look(instance)
    assert ("model_settings", "mf") in noted(first)
    assert ("split_settings", "full") in noted(first)
    assert {("raw_files", None), ("ensemble_settings", None)} < set(noted(first))
    again = look(instance, first.cursor)
    assert isinstance(again, dg.SkipReason)
    (project.conf / "models" / "mf.yaml").write_text("recipe: mf\nepochs: 9\n")
    assert noted(look(instance, first.cursor)) == [("model_settings", "mf")]


def test_files_come_and_go_as_partitions(project, planner, instance):
    first = look(instance)
    assert instance.get_dynamic_partitions("models") == ["ease", "mf", "popularity"]
    (project.conf / "models" / "mf.yaml").unlink()
    (project.conf / "models" / "narrow.yaml").write_text("recipe: ease\n")
    assert noted(look(instance, first.cursor)) == [("model_settings", "narrow")]
    assert sorted(instance.get_dynamic_partitions("models")) == ["ease", "narrow", "popularity"]


def test_a_file_that_cannot_be_read_is_said_and_stops_nothing(project, planner, instance):
    (project.conf / "models" / "mf.yaml").write_text("recipe: [\n")
    assert "mf.yaml: not valid YAML" in look(instance).skip_message
