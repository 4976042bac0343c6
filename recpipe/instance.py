"""Where Dagster's instance lives: beside the artifacts, so that every command shares one history.

`python -m recpipe.instance` makes the folder and prints it; the environment's activation exports it as DAGSTER_HOME.
"""

from __future__ import annotations

import os
from pathlib import Path

from recpipe.settings import PACKAGE, Project
from recpipe.storage import replace_text


def dagster_home(project: Project) -> Path:
    """`DAGSTER_HOME` where it is set, else `dagster/` in the project's home; made, with its dagster.yaml."""
    home = Path(os.environ.get("DAGSTER_HOME") or project.home / "dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        replace_text(home / "dagster.yaml", (PACKAGE / "conf" / "dagster.yaml").read_text(encoding="utf-8"))
    return home


if __name__ == "__main__":
    print(dagster_home(Project.here()))
