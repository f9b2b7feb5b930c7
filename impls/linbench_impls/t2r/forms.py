"""t2r/naive, t2r/chunk and t2r/recurrent, in torch."""

from linbench_impls.families.features.forms import chunked, naive, recurrent
from linbench_impls.t2r.operator import T2R
from linbench_impls.toolkit.register import register

register("t2r", "naive", naive(T2R.feature_map))
register("t2r", "chunk", chunked(T2R.feature_map))
register("t2r", "recurrent", recurrent(T2R.feature_map))
