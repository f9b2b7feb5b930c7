"""The tables of the store."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import JSON

from linbench.core.measurement import MEMORY_BYTES

TIMES = (
    *("median_s", "ci_low_s", "ci_high_s"),
    *("cpu_median_s", "kernels_median_s", "anchor_median_s"),
)
BESIDE_SAMPLES = ("cpu_s", "switches", "kernels_s")
REVISION = "0007"

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Column("environment", JSON, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("number", Integer, nullable=False, server_default="0"),  # as begun; clocks are set back
    Column("imported_from", Text),  # None where it was measured with this store
    Index("runs_by_number", "number"),
)

measurements = Table(
    "measurements",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", String(64), ForeignKey("runs.id", ondelete="RESTRICT"), nullable=False),
    Column("operator", Text, nullable=False),
    Column("implementation", Text, nullable=False),
    Column("case_id", String(12), nullable=False),
    *(Column(axis, Integer, nullable=False) for axis in ("B", "T", "H", "K", "V")),
    *(Column(name, String(16), nullable=False) for name in ("dtype", "mode", "device")),
    Column("options", JSON, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text),
    Column("timer", String(32)),
    *(Column(name, Float) for name in TIMES),
    Column("n", Integer, nullable=False),
    Column("processes", JSON, nullable=False),
    Column("first_call_s", Float),
    Column("deterministic", Boolean),
    Column("kernels", JSON, nullable=False, server_default="[]"),
    *(Column(name, BigInteger) for name in MEMORY_BYTES),
    Column("memory_meter", String(16)),
    Column("useful_flops", Float),
    Column("algorithmic_flops", Float),
    Column("fewest_bytes", BigInteger),
    Column("errors", JSON, nullable=False),
    Column("approximation", JSON, nullable=False, server_default="{}"),
    Column("telemetry", JSON, nullable=False, server_default="{}"),
    Column("flags", JSON, nullable=False),
    Column("measured_at", String(32), nullable=False),
    Index("measurements_by_run", "run"),
    Index("measurements_by_case", "implementation", "case_id"),
)

samples = Table(
    "samples",
    metadata,
    Column("measurement", Integer, ForeignKey("measurements.id", ondelete="RESTRICT"), primary_key=True),
    Column("samples_s", LargeBinary, nullable=False),
    *(Column(name, LargeBinary) for name in BESIDE_SAMPLES),
)

baselines = Table(
    "baselines",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("run", String(64), ForeignKey("runs.id", ondelete="RESTRICT"), nullable=False),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("operator", Text, nullable=False),
    Column("implementation", Text, nullable=False),
    Column("case_id", String(12), nullable=False),
    Column("case", JSON, nullable=False),
    Column("tool", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text),
    Column("breakdown", JSON),
    Column("memory", JSON, nullable=False),
    Column("artifacts", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
    Column("profiled_at", String(32), nullable=False),
    Index("profiles_by_implementation", "implementation"),
)
