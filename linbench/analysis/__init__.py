"""Analysis: conclusions from a table of measurements, as pure functions on the frame of `linbench.load`."""

from linbench.analysis.capacity import Capacity, capacities
from linbench.analysis.duel import Crossover, Duel, crossovers, duel, duels
from linbench.analysis.mean import Means, geometric_means
from linbench.analysis.occupation import occupation
from linbench.analysis.panel import Panel, panels, tabulate
from linbench.analysis.pareto import pareto_front
from linbench.analysis.scaling import Scaling, claimed_exponent, scaling, scalings
from linbench.analysis.speed_of_light import speed_of_light
from linbench.analysis.winner import Winner, default_baseline, winners
from linbench.statistics.estimate import Estimate, product, speedup

__all__ = [
    "Capacity",
    "Crossover",
    "Duel",
    "Estimate",
    "Means",
    "Panel",
    "Scaling",
    "Winner",
    "capacities",
    "claimed_exponent",
    "crossovers",
    "default_baseline",
    "duel",
    "duels",
    "geometric_means",
    "occupation",
    "panels",
    "pareto_front",
    "product",
    "scaling",
    "scalings",
    "speed_of_light",
    "speedup",
    "tabulate",
    "winners",
]
