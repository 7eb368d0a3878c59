"""Movies and points with known truth: to try things on, to test, to measure."""

from .movie import Simulation, simulate, write_simulated
from .points import SimulatedPoints, simulate_points

__all__ = ["SimulatedPoints", "Simulation", "simulate", "simulate_points", "write_simulated"]
