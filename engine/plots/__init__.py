"""Pictures for people, drawn by matplotlib without a display: lineage trees, overlays, figures of calibration."""
