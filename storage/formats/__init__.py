"""File formats: importers give a `Source`, exporters write a solution."""
