"""GEFF, the graph exchange file format: a Zarr group with nodes, edges and their properties."""
