"""What a simulated microscope shows: cells that can be known again, two modalities, two conditions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from trackdb.engine.measure import measure
from trackdb.engine.simulation import Simulation, simulate
from trackdb.engine.simulation.life import live
from trackdb.engine.simulation.looks import TEXTURE

STEADY = Simulation(
    frames=8, cells=30, radius_px=14, density=0.1, division_rate=0, death_rate=0, motion=0.05, open_borders=False,
    missed=0, false=0, seed=4,
)  # fmt: skip


def patches(drawn, half=7) -> dict[int, np.ndarray]:
    """Return the pixels around the centre of each cell, less what all nuclei have in common: a bright middle."""
    regions = measure(drawn.truth)
    found = {}
    for track, centre in zip(regions.label.tolist(), np.rint(regions.centroid_px).astype(int), strict=True):
        if np.all(centre >= half) and np.all(centre + half < drawn.truth.shape):
            box = tuple(slice(c - half, c + half + 1) for c in centre)
            inner = drawn.image[box].astype(float)
            found[track] = inner - gaussian_filter(inner, 4)
    return found


def likeness(some, others) -> tuple[float, float]:
    """Return the mean correlation of the patches of one cell in two frames, and of two cells."""
    same = [np.corrcoef(some[i].ravel(), others[i].ravel())[0, 1] for i in some.keys() & others.keys()]
    other = [np.corrcoef(some[i].ravel(), others[j].ravel())[0, 1] for i in some for j in others if i != j]
    return float(np.mean(same)), float(np.mean(other))


def fullest_slice(drawn):
    """Return the slice of a volume that shows most cells."""
    z = np.argmax([len(np.unique(plane)) for plane in drawn.truth])
    return replace(drawn, truth=drawn.truth[z], mask=drawn.mask[z], image=drawn.image[z])


@pytest.mark.parametrize(("modality", "condition"), [("nuclei", "a"), ("nuclei", "b"), ("phase", "a")])
def test_a_cell_is_known_by_its_texture(modality, condition):
    frames = list(simulate(replace(STEADY, modality=modality, condition=condition)))
    same, other = likeness(patches(frames[0]), patches(frames[1]))
    assert same > 0.6
    assert same > abs(other) + 0.4
    later, _ = likeness(patches(frames[0]), patches(frames[5]))
    assert later > abs(other) + 0.2


def test_textures_of_volumes_last_too():
    frames = list(simulate(replace(STEADY, ndim=3, cells=15, frames=2)))
    middle = [fullest_slice(drawn) for drawn in frames]
    same, other = likeness(patches(middle[0], 5), patches(middle[1], 5))
    assert same > abs(other) + 0.4


def test_daughters_inherit_a_blend_of_their_mothers_texture():
    options = Simulation(frames=40, cells=300, division_rate=0.05, death_rate=0, open_borders=False, seed=1)
    last, to_mother, to_sister = None, [], []
    for scene in live(options):
        if last is not None:
            born = np.flatnonzero(scene.mother)
            mother = np.searchsorted(last.track, scene.mother[born], sorter=np.argsort(last.track))
            mother = np.argsort(last.track)[mother]
            traits = scene.looks.traits[born, TEXTURE]
            to_mother.append(np.mean(traits * last.looks.traits[mother][:, TEXTURE], axis=1))
            order = np.argsort(scene.mother[born], kind="stable")
            to_sister.append(np.mean(traits[order[::2]] * traits[order[1::2]], axis=1))
        last = scene
    assert len(np.concatenate(to_mother)) > 200
    assert np.mean(np.concatenate(to_mother)) == pytest.approx(0.7, abs=0.08)
    assert np.mean(np.concatenate(to_sister)) == pytest.approx(0.7**2, abs=0.08)


def test_nuclei_are_bright_those_missed_too():
    drawn = next(iter(simulate(Simulation(cells=30, missed=1.0, false=0.0))))
    assert drawn.image.dtype == np.uint16
    assert not drawn.mask.any()
    assert drawn.image[drawn.truth > 0].mean() > 3 * drawn.image[drawn.truth == 0].mean()


def profile(drawn, at) -> float:
    """Return the mean light at a distance (inside: negative) from the borders of cells, in shares of the background."""
    near = distance_transform_edt(drawn.truth == 0) - distance_transform_edt(drawn.truth > 0)
    inner = (slice(20, -20),) * 2  # cells beyond the border are in the image and not in the truth
    light, near = drawn.image[inner] - 100.0, near[inner]
    return float(light[np.abs(near - at) < 0.75].mean() / np.median(light[near > 20]))


def test_phase_contrast_is_dark_inside_and_has_a_bright_halo():
    options = Simulation(frames=1, cells=40, density=0.1, radius_px=12, modality="phase", division_rate=0, seed=3)
    drawn = next(iter(simulate(options)))
    assert profile(drawn, at=-5) < 0.9
    assert profile(drawn, at=2) > 1.05
    assert profile(drawn, at=2) > profile(drawn, at=8) > 0.97
    nuclei = next(iter(simulate(replace(options, modality="nuclei"))))
    assert profile(nuclei, at=-5) > 3  # and nuclei shine
    assert profile(nuclei, at=4) < 1.1  # without a halo


def unevenness(image, background) -> float:
    """Return how far the smooth background strays, as a share of its mean."""
    weight = gaussian_filter(background.astype(float), 20)
    smooth = gaussian_filter(np.where(background, image - 100.0, 0.0), 20) / np.maximum(weight, 1e-9)
    seen = smooth[background & (weight > 0.2)]
    return float(seen.std() / seen.mean())


@pytest.mark.parametrize("modality", ["nuclei", "phase"])
def test_the_conditions_share_the_cells_and_differ_in_all_that_a_microscope_changes(modality):
    options = Simulation(frames=2, cells=60, density=0.08, modality=modality, seed=5)
    for a, b in zip(simulate(options), simulate(replace(options, condition="b")), strict=True):
        np.testing.assert_array_equal(a.truth, b.truth)
        np.testing.assert_array_equal(a.mask, b.mask)
        background = distance_transform_edt(a.truth == 0) > 15
        edges = np.linspace(0, 5000, 51)
        together = sum(np.minimum(*(np.histogram(d.image, edges)[0] / d.image.size for d in (a, b))))
        assert together < 0.5  # of the two histograms
        assert unevenness(a.image, background) < 0.15
        assert unevenness(b.image, background) > 1.8 * unevenness(a.image, background)
        noise = [np.std(np.diff(d.image.astype(float), axis=1)[background[:, 1:]]) / 2**0.5 for d in (a, b)]
        cells = [abs(profile(d, at=-4) - 1) * np.mean(d.image[background] - 100.0) for d in (a, b)]
        assert noise[1] / cells[1] > 1.5 * noise[0] / cells[0]


def test_a_cell_about_to_divide_rounds_up_and_shines():
    options = Simulation(frames=25, cells=150, density=0.05, division_rate=0.05, death_rate=0, seed=2)
    brightness, roundness = {True: [], False: []}, {True: [], False: []}
    movie = simulate(options)
    for drawn, scene in zip(movie, live(options), strict=True):
        regions = measure(drawn.truth)
        size = regions.features.bbox_max - regions.features.bbox_min
        for row, track in enumerate(regions.label.tolist()):
            cell = int(np.flatnonzero(scene.track == track)[0])
            divides = bool(scene.divides[cell])
            box = tuple(
                slice(a, b) for a, b in zip(regions.features.bbox_min[row], regions.features.bbox_max[row], strict=True)
            )
            brightness[divides].append(drawn.image[box][drawn.truth[box] == track].mean())
            roundness[divides].append(size[row].min() / size[row].max())
    assert len(brightness[True]) > 30
    assert np.mean(brightness[True]) > 1.3 * np.mean(brightness[False])
    assert np.mean(roundness[True]) > np.mean(roundness[False]) + 0.02


def test_slices_deep_in_a_volume_are_dimmer():
    drawn = next(iter(simulate(Simulation(ndim=3, cells=60, seed=1))))
    background = [np.median(plane[truth == 0]) - 100.0 for plane, truth in zip(drawn.image, drawn.truth, strict=True)]
    assert background[-1] < 0.7 * background[0]


def test_cells_behind_the_border_are_seen_and_not_in_the_truth():
    drawn = next(iter(simulate(Simulation(cells=200, density=0.5, missed=0, false=0, seed=1))))
    edge = np.concatenate([drawn.truth[0], drawn.truth[-1]])
    light = np.concatenate([drawn.image[0], drawn.image[-1]])
    bright = light > 0.5 * np.median(drawn.image[drawn.truth > 0])
    assert np.mean(edge[bright] == 0) > 0.1


def test_images_can_be_left_out():
    drawn = next(simulate(Simulation(cells=3)).frames(images=False))
    assert drawn.image is None


def test_the_noise_is_new_in_each_frame():
    one, two = simulate(Simulation(frames=2, cells=5, shape_px=(200, 200), motion=0, division_rate=0))
    background = distance_transform_edt((one.truth == 0) & (two.truth == 0)) > 15
    light = [drawn.image.astype(float) - gaussian_filter(drawn.image.astype(float), 3) for drawn in (one, two)]
    assert abs(np.corrcoef(light[0][background], light[1][background])[0, 1]) < 0.05
