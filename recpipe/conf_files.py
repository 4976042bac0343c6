"""What the files of conf/ say beside models, splits and what has a room of its own: data, runs, automation, storage."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recpipe.data.preparation import Preparation
from recpipe.evaluation.naming import CUT_OFFS, parse_metric
from recpipe.yaml_files import nearest

SAMPLE = "sample"


class DatasetSettings(BaseModel):
    """conf/dataset.yaml: which data, and what of it counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(SAMPLE, description="'sample', or the path of a folder or zip in a layout that is recognised")
    sample_seed: int = Field(0, ge=0, description="of the generated movie world")
    features: bool = Field(True, description="hand side tables (genres, directors, writers, years) to the recipes")
    arrivals: str = Field("raw/arrivals", description="folder of further rating files; relative to the home folder")
    most_volume_drop: float = Field(0.2, gt=0, le=1, description="share by which rows, users or films may fall at once")
    preparation: Preparation = Field(default_factory=Preparation, description="rating threshold, k-core, repeats")


class RunSettings(BaseModel):
    """conf/run.yaml: the circumstances under which models are trained and compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="of every random number in training")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU where there is one")
    mixed_precision: bool = Field(
        False, description="networks multiply matrices in bfloat16 while learning; weights and losses stay in float32"
    )
    threads: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="of one training on the CPU; auto: half of the cores"
    )
    time_budget: float | None = Field(None, gt=0, description="seconds a model; its best epoch so far is then kept")
    memory_limit: float | None = Field(
        None, gt=0, description="GiB that all trainings at a time may take together; null: what is free"
    )
    metric: str = Field("ndcg@10", description="what early stopping follows and leaderboards are sorted by")
    checkpoint_every: float = Field(60.0, ge=0, description="seconds between checkpoints of a training; 0: each epoch")
    sql_engine: Literal["duckdb", "spark"] = Field("duckdb", description="what runs dbt_like_sql; the tables are equal")
    spark_master: str = Field("local[2]", description="where Spark computes: local[threads], or a cluster's address")
    workers: str | None = Field(
        None, pattern=r"^\w+://.+", description="a Dask scheduler, tcp://host:8786, whose workers carry out builds"
    )
    baselines: tuple[str, ...] = Field((), description="what a build measures beside the ensemble's members")
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = Field(
        (), description="where epochs go beside the artifact's own journal; each is an extra of this name"
    )
    mlflow_uri: str | None = Field(None, description="of MLflow's store or server; null: mlflow.db in the home folder")
    wandb_mode: Literal["offline", "online"] = Field("offline", description="online sends to Weights & Biases")

    @field_validator("metric")
    @classmethod
    def _in_every_report(cls, metric: str) -> str:
        name, k = parse_metric(metric)
        if k not in CUT_OFFS:
            raise ValueError(f"reports are made at the cut-offs {', '.join(map(str, CUT_OFFS))}; take {name}@10")
        return metric

    @property
    def memory_budget(self) -> int | None:
        """The limit in bytes."""
        return None if self.memory_limit is None else int(self.memory_limit * 2**30)

    @property
    def choices(self) -> dict[str, Any]:
        """What can change a result: the version of a trained model includes it."""
        chosen = {"seed": self.seed, "metric": self.metric, "time_budget": self.time_budget}
        return chosen | {"mixed_precision": self.mixed_precision}


class NightlySettings(BaseModel):
    """The part `nightly` of conf/automation.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        True, description="whether the schedule is running when `dagster dev` starts for the first time"
    )
    at: str = Field("03:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="time of day, HH:MM")
    time_zone: str = Field("UTC", description="a name of the IANA data base")
    full_refit: Literal["never", "weekly", "monthly"] = Field("monthly", description="everything anew, current or not")

    @field_validator("at", mode="before")
    @classmethod
    def _in_quotes(cls, at: object) -> object:
        if isinstance(at, int):
            raise ValueError('YAML takes 13:30 for a number of sixty, so write the time in quotes: "13:30"')
        return at

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"no time zone is called {name!r}{nearest(name, sorted(available_timezones()))}")
        return name

    @property
    def cron(self) -> str:
        """Minute and hour, every day."""
        hour, minute = self.at.split(":")
        return f"{int(minute)} {int(hour)} * * *"

    def refits_on(self, day: date) -> bool:
        """Whether everything is made anew that night: Sundays, or the first of a month."""
        return {"never": False, "weekly": day.isoweekday() == 7, "monthly": day.day == 1}[self.full_refit]


class AutomationSettings(BaseModel):
    """conf/automation.yaml: what runs by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    follow_changes: bool = Field(True, description="a changed file or setting reruns what it touches")
    look_every: int = Field(15, ge=1, description="seconds between looks at the sources")
    nightly: NightlySettings = Field(default_factory=NightlySettings, description="the nightly retrain")
    freshest_within: float = Field(26.0, gt=0, description="hours after it was made that a submission may be stale")


class StorageSettings(BaseModel):
    """conf/storage.yaml: where artifacts lie. Credentials stand in the environment, never in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifacts: str = Field("", description="an address such as s3://bucket/prefix; empty: in the home folder")
    attempts: int = Field(10, ge=1, description="of a request to S3, with growing pauses of 20 seconds at most")
    connect_timeout: float = Field(5, gt=0, description="seconds until an attempt to reach S3 is given up")
    read_timeout: float = Field(20, gt=0, description="seconds of silence until an attempt is given up")
