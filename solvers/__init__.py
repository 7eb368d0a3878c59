"""Arrays in, selection out: the combinatorial solvers. This room knows no tables, no files and no torch."""
