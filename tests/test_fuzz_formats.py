"""Every importer reads harmed sources or refuses them with words; see `fuzz_formats` for how to join."""

import numpy as np
import pytest

from .fuzz_formats import Importer, fire, harm_folder, harm_text
from .graph_files import SPOTS, write_geff, write_icy, write_particles, write_trackmate


def small_trackmate(folder):
    """A TrackMate file with polygons and names."""
    return write_trackmate(
        folder / "a.xml",
        extra=lambda spot: 'ROI_N_POINTS="4"' if spot < 13 else f'SNR="{spot / 7:.3f}"',
        text=lambda spot: "0 0 4 0 4.0 2.0 0.0 2.0" if spot < 13 else "",
        names={0: "mother"},
    )


def small_geff(folder, zarr_format):
    """A GEFF with properties of each kind."""
    n = len(SPOTS)
    return write_geff(
        folder / "a.geff",
        zarr_format=zarr_format,
        props={
            "radius": (np.arange(n, dtype=np.float32), np.arange(n) % 3 == 0),
            "name": np.array([f"n{k}" for k in range(n)], dtype=np.dtypes.StringDType()),
            "seg_id": np.arange(n) + 1,
            "solution": np.ones(n, dtype=bool),
        },
    )


IMPORTERS = [
    Importer("trackmate", small_trackmate, harm_text),
    Importer("track_xml", lambda folder: write_particles(folder / "a.xml"), harm_text, n_cases=300),
    Importer("track_xml", lambda folder: write_icy(folder / "a.xml"), harm_text, n_cases=300),
    Importer("geff", lambda folder: small_geff(folder, 2), harm_folder, n_cases=300),
    Importer("geff", lambda folder: small_geff(folder, 3), harm_folder, n_cases=300),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")  # while texts are written
@pytest.mark.parametrize("importer", IMPORTERS, ids=[f"{i.name}-{k}" for k, i in enumerate(IMPORTERS)])
def test_harmed_sources_are_read_or_refused_with_words(importer, tmp_path):
    if importer.name == "geff":
        pytest.importorskip("geff_spec", reason="the extra geff is not installed")
    counts = fire(importer, tmp_path)
    assert counts["read"] >= importer.n_cases // 20, f"harms that always break tell little: {counts}"
    assert counts["refused"] >= importer.n_cases // 10, f"harms that never break tell little: {counts}"
    print(counts)
