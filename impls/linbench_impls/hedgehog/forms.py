"""hedgehog/naive, hedgehog/chunk and hedgehog/recurrent, in torch."""

from linbench_impls.families.features.forms import chunked, naive, recurrent
from linbench_impls.hedgehog.operator import Hedgehog
from linbench_impls.toolkit.register import register

register("hedgehog", "naive", naive(Hedgehog.feature_map))
register("hedgehog", "chunk", chunked(Hedgehog.feature_map))
register("hedgehog", "recurrent", recurrent(Hedgehog.feature_map))
