"""Movies and points with known truth: to try things on, to test, to measure."""

from .known import Known, simulate_on
from .movie import SimulatedFrame, SimulatedMovie, simulate
from .points import SimulatedPoints, simulate_points
from .settings import Drawing, Simulation
from .writing import SimulationReport, write_movie

__all__ = [
    "Drawing",
    "Known",
    "SimulatedFrame",
    "SimulatedMovie",
    "SimulatedPoints",
    "Simulation",
    "SimulationReport",
    "simulate",
    "simulate_on",
    "simulate_points",
    "write_movie",
]
