"""The one cost model: negative log densities, made from any scorer, fitted to the data."""
