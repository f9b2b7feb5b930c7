"""performer/naive, performer/chunk and performer/recurrent, in torch."""

from linbench_impls.families.features.forms import chunked, naive, recurrent
from linbench_impls.performer.operator import Performer
from linbench_impls.toolkit.register import register

register("performer", "naive", naive(Performer.feature_map))
register("performer", "chunk", chunked(Performer.feature_map))
register("performer", "recurrent", recurrent(Performer.feature_map))
