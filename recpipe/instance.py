"""Where Dagster's instance lives: beside the artifacts, so that every command shares one history.

Its records lie in SQLite files there, or on a PostgreSQL server where `RECPIPE_POSTGRES_URL` names one.
`python -m recpipe.instance` makes the folder and prints it; the environment's activation exports it as DAGSTER_HOME.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from recpipe.settings import PACKAGE, Project
from recpipe.storage import replace_text
from recpipe.yaml_files import SettingsError

POSTGRES = "RECPIPE_POSTGRES_URL"
DRIVER = "postgresql+psycopg2://"
"""How the address begins: for `postgresql://` SQLAlchemy takes another driver than the one dagster-postgres brings."""


def dagster_home(project: Project) -> Path:
    """The folder of the instance; made, with its dagster.yaml.

    `DAGSTER_HOME` where it is set, else `dagster/` in the project's home, or `dagster-postgres/` where
    `RECPIPE_POSTGRES_URL` is set: two folders, so that commands with and without it do not touch each other's.

    Raises SettingsError where `RECPIPE_POSTGRES_URL` is set and would have no effect.
    """
    postgres = _postgres_is_wanted()
    folder = project.home / ("dagster-postgres" if postgres else "dagster")
    home = Path(os.environ.get("DAGSTER_HOME") or folder).absolute()
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        own = PACKAGE / "conf" / ("production/dagster.yaml" if postgres else "dagster.yaml")
        replace_text(settings, own.read_text(encoding="utf-8"))
    if postgres and POSTGRES not in settings.read_text(encoding="utf-8"):
        raise SettingsError(
            f"{POSTGRES} is set, but {settings} does not use it: unset DAGSTER_HOME (set {POSTGRES} before you "
            "activate the environment), or name the variable in that file"
        )
    return home


def _postgres_is_wanted() -> bool:
    url = os.environ.get(POSTGRES)
    if not url:
        return False
    if not url.startswith(DRIVER):  # the address itself is not repeated: a password may stand in it
        raise SettingsError(f"{POSTGRES}: an address {DRIVER}user:password@host:5432/database was wanted")
    if find_spec("dagster_postgres") is None:
        raise SettingsError(f"{POSTGRES} is set, which needs a package: pip install 'recpipe[postgres]'")
    return True


if __name__ == "__main__":
    print(dagster_home(Project.here()))
