"""
Kernels that track disks in one frame after the other; `disks.track` is their front.

A frame becomes an image of electrons with a margin of zeros around it. `coarse` finds the disks to a part of a pixel, a
robust lattice through them says where each must be, and filters measure the displacement from there.
"""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.coarse import Found, Room, Search, Seen, coarse, look
from livestrain_core.image import Cover, Pixels, hide_lost, normalise, to_image
from livestrain_core.robust import robust_fit
from livestrain_core.types import Float32, Float64, Frames
from livestrain_core.visible import Equations, Visible, measure_visible
from livestrain_core.windows import brightness_class, cut

SIGNIFICANCE = 4.0
# nothing is looked for farther away than this [px]
FARTHEST_PX = 1e6
# disks of which a larger part is hidden are given up: where it is left out, and where it is filled
MOST_HIDDEN = 0.7
MOST_FILLED = 0.4
# filters are linear in the displacement; a disk farther away than this from its prediction is not the one meant
CAPTURE_PX = 1.0
# how often the filters are applied at most, each time from a lattice through the disks of the time before
ROUNDS = 2


class Bank(NamedTuple):
    """Filters of a probe, each row and the whole filled up with zeros to what a loop takes at a time."""

    half: int
    """A window has 2 half + 1 rows."""
    columns: int
    """Columns of a window, filled up."""
    filters: Float32
    """(classes, shifts, shifts, 4, pixels): displacement row, column, intensity; and the disk of one count."""
    noise: Float64
    """(classes, 3) as in `templates.Filters`."""
    intensity_noise: Float64
    """(classes, 2) as in `templates.Filters`."""
    limits: Float64
    """(classes - 1,) electrons between one class and the next."""
    visible: Visible
    """For windows that are partly hidden, in the same layout; empty where hidden pixels are filled."""


class Round(NamedTuple):
    """How disks are measured once."""

    capture: float
    """Largest distance of a disk from where it is expected [px]."""
    every: bool
    """Whether all disks are measured, or those that carry weight."""
    exact: bool
    """Whether partly hidden disks are measured from their visible pixels alone."""


class Task(NamedTuple):
    """All that is the same in every frame."""

    pixels: Pixels
    search: Search
    seen: Seen
    bank: Bank
    hk: Float64
    """(m, 2) indices."""
    enough_px: float
    """Disks that were expected so near to where they are, root mean square, need not be measured again [px]."""


class Work(NamedTuple):
    """Room for the work on one frame, and what came out of it."""

    image: Float32
    """The frame in electrons, with its margin; zero where nothing is seen."""
    cover: Cover
    """What is hidden in this frame, if that is more than in every frame."""
    shown: Float32
    """The opposite of what is hidden in this frame."""
    seen: Seen
    """What is seen of each disk in this frame, if that is less than in every frame."""
    room: Room
    """For the coarse search."""
    windows: Float32
    """(2, pixels) a disk's window, and what is hidden of it."""
    found: Found
    """Places, weights, intensities and backgrounds of the frame's disks."""
    noise_part: Float64
    """(m,) part of each place's variance that counting causes."""
    equations: Equations
    """For disks that are partly hidden."""
    vectors: Float64
    """(3, 2) the lattice where the disks were expected last: centre, g1, g2."""
    inverse: Float64
    """(3, 3) of its normal matrix."""


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def three_dots(filters: Float32, at: tuple[int, int, int], window: Float32) -> tuple[float, float, float]:
    """Scalar products of the three filters at (class, shift, shift) with a window."""
    table = filters[at[0], at[1], at[2]]
    first, second, third = table[0], table[1], table[2]
    a = b = c = np.float32(0.0)
    for k in range(len(window)):
        a += first[k] * window[k]
        b += second[k] * window[k]
        c += third[k] * window[k]
    return float(a), float(b), float(c)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def fill_hidden(
    window: Float32, hidden: Float32, filters: Float32, at: tuple[int, int, int], intensity: float, background: float
) -> None:
    """Fill hidden pixels of a window with the disk expected there."""
    flat = filters[at[0], at[1], at[2], 3]
    height, level = np.float32(intensity), np.float32(background)
    for k in range(len(window)):
        window[k] += hidden[k] * (height * flat[k] + level)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def hidden_parts(hidden: Float32, filters: Float32, at: tuple[int, int, int]) -> tuple[float, float]:
    """Part of a disk that is hidden, and pixels of its window that are."""
    flat, part, pixels = filters[at[0], at[1], at[2], 3], np.float32(0.0), np.float32(0.0)
    for k in range(len(hidden)):
        part += hidden[k] * flat[k]
        pixels += hidden[k]
    return float(part), float(pixels)


@njit(cache=True, nogil=True)
def nearest(place: float, shifts: int) -> tuple[int, int, float]:
    """Pixel and part of it that are nearest to a place, and the place that they stand for."""
    # asked of the number itself: what is not finite must not become a pixel
    if not abs(place) < FARTHEST_PX:
        return -1, 0, place
    pixel = int(np.floor(place + 0.5))
    part = min(int((place - pixel + 0.5) * shifts), shifts - 1)
    return pixel, part, pixel + (part + 0.5) / shifts - 0.5


@njit(cache=True, nogil=True)
def measure_partly(
    work: Work, bank: Bank, at: tuple[int, int, int], expected: tuple[float, float], part: float, exact: bool
) -> tuple[float, float, float, float]:
    """
    Displacement times intensity, intensity, and factor on the variance of a disk in a window that is partly hidden.

    It is measured from its visible pixels alone, or with the hidden ones filled with the disk of the intensity and on
    the background that are expected.
    """
    window, covered = work.windows[0], work.windows[1]
    if exact:
        return measure_visible(window, covered, bank.visible, at, work.equations)
    fill_hidden(window, covered, bank.filters, at, expected[0], expected[1])
    moved_r, moved_c, total = three_dots(bank.filters, at, window)
    return moved_r, moved_c, total, 1.0 / (1.0 - part) ** 2


@njit(cache=True, nogil=True)
def measure_disks(work: Work, cover: Cover, margin: int, bank: Bank, step: Round) -> float:
    """
    Measure disks with the filters of the quarter pixel nearest to where they are expected, in place.

    The intensity is replaced, too, and the weight becomes zero where a disk was not found nearby.
    All disks are measured, or those that carry weight. Hidden pixels are left out. Returns the
    weighted mean square of how far the disks found were from where they were expected [px^2].
    """
    place, weight, state = work.found
    noise_part = work.noise_part
    # arrays are taken out of their tuples once, and are not sliced for a call: each costs as much as a scalar product
    filters, noise, intensity_noise, limits = bank.filters, bank.noise, bank.intensity_noise, bank.limits
    image, hidden, flagged, half, columns = work.image, cover.hidden, cover.flagged, bank.half, bank.columns
    rows, shifts = 2 * half + 1, filters.shape[1]
    window, covered = work.windows[0], work.windows[1]
    # both begin with the rows of a window
    square = window[: rows * columns].reshape(rows, columns)
    covered_square = covered[: rows * columns].reshape(rows, columns)
    most_hidden = MOST_HIDDEN if bank.visible.terms.shape[0] > 0 else MOST_FILLED
    moved = sum_weights = 0.0
    every, capture = step.every, step.capture
    for j in range(len(place)):
        if not (every or weight[j] > 0.0):
            continue
        weight[j] = 0.0
        r, a, at_r = nearest(place[j, 0] + margin, shifts)
        c, b, at_c = nearest(place[j, 1] + margin, shifts)
        top, left = r - half, c - half
        inside = top >= 0 and left >= 0 and r + half < image.shape[0] and left + columns <= image.shape[1]
        if not inside or np.isnan(state[j, 0]):
            continue
        kind = brightness_class(state[j, 0], limits)
        at = kind, a, b
        cut(image, top, left, square)
        part, lost, raised = 0.0, 0.0, 1.0
        if flagged[j]:
            cut(hidden, top, left, covered_square)
            part, lost = hidden_parts(covered, filters, at)
        # a window that is hidden nearly wholly is not worth its equations
        if part > most_hidden:
            continue
        if lost > 0.0:
            moved_r, moved_c, total, raised = measure_partly(
                work, bank, at, (state[j, 0], state[j, 1]), part, step.exact
            )
        else:
            moved_r, moved_c, total = three_dots(filters, at, window)
        state[j, 0] = total
        per_total = 1.0 / max(total, 1e-12)
        at_r += min(max(moved_r * per_total, -2.0), 2.0) - margin
        at_c += min(max(moved_c * per_total, -2.0), 2.0) - margin
        distance2 = (at_r - place[j, 0]) ** 2 + (at_c - place[j, 1]) ** 2
        place[j, 0], place[j, 1] = at_r, at_c
        size, background = max(total, 1.0), max(state[j, 1], 0.0)
        error = sqrt(intensity_noise[kind, 0] * size + intensity_noise[kind, 1] * background + 1e-9) * sqrt(raised)
        if not total > SIGNIFICANCE * error or distance2 > capture * capture:
            continue
        counting = noise[kind, 0] / size + noise[kind, 1] * background / (size * size)
        variance = counting + noise[kind, 2]
        weight[j] = 1.0 / (raised * variance)
        noise_part[j] = counting / variance
        moved += weight[j] * distance2
        sum_weights += weight[j]
    return moved / sum_weights if sum_weights > 0.0 else 0.0


@njit(cache=True, nogil=True)
def put_on_lattice(hk: Float64, vectors: Float64, place: Float64) -> None:
    """Positions (m, 2) of the disks of a lattice (3, 2), in place."""
    for j in range(len(hk)):
        for a in range(2):
            place[j, a] = vectors[0, a] + hk[j, 0] * vectors[1, a] + hk[j, 1] * vectors[2, a]


@njit(cache=True, nogil=True)
def track_frame(frame: NDArray[Any], task: Task, work: Work) -> tuple[float, bool]:
    """
    Track one frame: coarse peaks, a lattice through them, and the filters at its disks.

    Returns the electrons per count of the image, and whether the disks were last expected on a lattice.
    """
    pixels, hk = task.pixels, task.hk
    image, found, vectors, inverse = work.image, work.found, work.vectors, work.inverse
    place, weight, _ = found
    cover, seen = pixels.cover, task.seen
    if to_image(frame, pixels, image) > 0:
        hide_lost(frame, pixels, work.cover, work.shown)
        look(work.shown, task.search, work.room, work.seen)
        cover, seen = work.cover, work.seen
    gain = pixels.electrons_per_count if pixels.electrons_per_count > 0.0 else normalise(image)
    coarse(image, task.search, seen, work.room, found)
    spans = robust_fit(hk, place, weight, vectors, inverse) == 0
    for i in range(ROUNDS):
        if i > 0 and spans:
            spans = robust_fit(hk, place, weight, vectors, inverse) == 0
        if spans:
            put_on_lattice(hk, vectors, place)
        last = i == ROUNDS - 1
        step = Round(
            capture=CAPTURE_PX if last else 2.0 * CAPTURE_PX,
            every=spans,
            exact=last and task.bank.visible.terms.shape[0] > 0,
        )
        if measure_disks(work, cover, pixels.margin, task.bank, step) < task.enough_px**2:
            break
    return gain, spans


@njit(cache=True, nogil=True)
def track_frames(frames: Frames, task: Task, work: Work, out: tuple[Float32, Float32, Float32, Float32]) -> None:
    """Track every frame, each for itself."""
    position, intensity, score, noise_part = out
    place, weight, state = work.found
    counting = work.noise_part
    for i in range(len(frames)):
        gain, _ = track_frame(frames[i], task, work)
        for j in range(len(place)):
            found = weight[j] > 0.0
            position[i, j, 0] = place[j, 0] if found else np.nan
            position[i, j, 1] = place[j, 1] if found else np.nan
            intensity[i, j] = state[j, 0] / gain
            score[i, j] = sqrt(weight[j]) if found else 0.0
            noise_part[i, j] = counting[j] if found else np.nan
