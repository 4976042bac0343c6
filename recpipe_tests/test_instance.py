"""Where Dagster's instance lies: SQLite by default, PostgreSQL where the environment names one."""

import pytest
import yaml

from recpipe import instance
from recpipe.instance import POSTGRES, dagster_home
from recpipe.yaml_files import SettingsError

URL = "postgresql+psycopg2://somebody:secret-word@localhost:5432/dagster"


@pytest.fixture
def postgres(monkeypatch):
    """PostgreSQL is asked for, and its package is there."""
    monkeypatch.setenv(POSTGRES, URL)
    monkeypatch.setattr(instance, "find_spec", lambda name: object())


def settings(home):
    return yaml.safe_load((home / "dagster.yaml").read_text())


def test_the_default_is_a_folder_in_the_home_without_a_server(project, monkeypatch):
    monkeypatch.delenv(POSTGRES, raising=False)
    home = dagster_home(project)
    assert home == project.home / "dagster"
    assert "storage" not in settings(home)


def test_an_address_in_the_environment_gives_an_instance_of_its_own_that_differs_in_its_storage_alone(
    project, monkeypatch, postgres
):
    home = dagster_home(project)
    assert home == project.home / "dagster-postgres"
    production = settings(home)
    assert production.pop("storage") == {"postgres": {"postgres_url": {"env": POSTGRES}}}
    assert "secret-word" not in (home / "dagster.yaml").read_text()
    monkeypatch.delenv(POSTGRES)
    assert production == settings(dagster_home(project))


def test_an_address_that_would_have_no_effect_is_refused(project, monkeypatch, postgres, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with pytest.raises(SettingsError, match="does not use it: unset DAGSTER_HOME"):
        dagster_home(project)
    (tmp_path / "dagster.yaml").write_text(f"storage:\n  postgres:\n    postgres_url:\n      env: {POSTGRES}\n")
    assert dagster_home(project) == tmp_path


def test_an_address_for_another_driver_is_refused_and_not_repeated(project, monkeypatch, postgres):
    monkeypatch.setenv(POSTGRES, URL.replace("+psycopg2", ""))
    with pytest.raises(SettingsError, match=r"postgresql\+psycopg2://") as refused:
        dagster_home(project)
    assert "secret-word" not in str(refused.value)


def test_a_missing_package_is_named_with_what_to_install(project, monkeypatch, postgres):
    monkeypatch.setattr(instance, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'recpipe\[postgres\]'"):
        dagster_home(project)
