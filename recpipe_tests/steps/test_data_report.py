"""The data report of a project, without Dagster."""

from recpipe.lineage import Lineage, Node, Standing
from recpipe.steps.data_report import data_report, figures

NODE = Node("data_report")


def test_the_report_is_of_the_projects_interactions_and_stale_when_they_change(built):
    report = data_report(built)
    interactions = built.store.need("interactions").figures
    told = figures(report)
    assert (told["events"], told["users"], told["films"]) == (2400, interactions["users"], interactions["films"])
    assert report.side.fields["directors"].films < report.side.fields["genres"].films < 1
    lineage = Lineage(built)
    assert lineage.state(NODE).standing is Standing.MISSING
    built.store.write("data_report", None, report, lineage.versions(NODE), told)
    assert lineage.state(NODE).standing is Standing.CURRENT
    assert built.store.read("data_report").figures() == report.figures()
    built.store.write("interactions", None, built.store.read("item_features"), {}, interactions)
    assert lineage.state(NODE).why == ("interactions",)
