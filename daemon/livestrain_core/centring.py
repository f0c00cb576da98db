"""
Kernels that move a place in an image to the centre of its disk by the filters of `templates`.

What is hidden of a disk follows from what is seen of it: three linear equations for its displacement and intensity.
"""

from typing import TypeAlias

import numpy as np
from numba import njit

from livestrain_core.sliding import Cover, Layout, Tables
from livestrain_core.types import Float32, Float64
from livestrain_core.windows import brightness_class, cut

# steps towards the centre of a disk, how far each may go [px], and when to stop
MOST_STEPS = 8
LARGEST_STEP_PX = 1.5
SMALL_STEP_PX = 0.25
# a step back by this part of the one before does not lead to a centre
TURNED_BACK = 0.7
# where more of a disk is hidden than this it is not looked at twice
HARDLY_VISIBLE = 0.75
# where less of it is hidden than this only the background is
HARDLY_HIDDEN = 0.002
# what is left visible of a filter, of one
LEAST_PIVOT = 0.1

Windows: TypeAlias = tuple[Float32, Cover]
"""Room for a window, (5, pixels): its counts, what is hidden of them, and what its disk has there; and (pixels,): whose
each pixel is."""


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def dot(a: Float32, b: Float32) -> float:
    """Scalar product."""
    total = np.float32(0.0)
    for k in range(len(a)):
        total += a[k] * b[k]
    return float(total)


@njit(cache=True, nogil=True)
def settle(
    image: Float32,
    cover: Cover,
    own: int,
    tables: Tables,
    layout: Layout,
    place: Float64,
    state: Float64,
    windows: Windows,
) -> float:
    """
    Move a place in the image to the centre of its disk, step by step.

    `state` is (intensity, background), the intensity replaced. Pixels that are neither free nor its `own` are taken to
    hold what the disk has there; if `own` is negative, all are taken to be free. Returns the part of the disk that is
    hidden, or 1 where it proves to be none.
    """
    bank, limits = tables[0], tables[1]
    shifts, half, rows = bank.shape[1], layout.half, 2 * layout.half + 1
    square = windows[0][0, : rows * layout.stride].reshape(rows, layout.stride)
    measured, system = np.empty(3), np.empty((3, 4))
    part = before_r = before_c = 0.0
    for step in range(MOST_STEPS):
        # asked of the numbers themselves: what is not finite must not become a pixel
        if not (half <= place[0] <= image.shape[0] - half - 2 and half <= place[1] <= image.shape[1] - half - 2):
            return 1.0
        r, c = int(np.floor(place[0] + 0.5)), int(np.floor(place[1] + 0.5))
        top, left = r - half, c - half
        if left + layout.stride > image.shape[1]:
            return 1.0
        a = min(int((place[0] - r + 0.5) * shifts), shifts - 1)
        b = min(int((place[1] - c + 0.5) * shifts), shifts - 1)
        weights = bank[brightness_class(state[0], limits), a, b]
        cut(image, top, left, square)
        part = take_out(cover, own, top, left, weights[3], windows, square.shape) if own >= 0 else 0.0
        if part > 1.0 - layout.visible and (step > 0 or part > HARDLY_VISIBLE):
            return part
        if not measure(weights, state[1], part, own >= 0, layout.stride, windows[0], system, measured):
            return 1.0
        state[0], size = measured[2], max(measured[2], 1e-12)
        to_r = r + (a + 0.5) / shifts - 0.5 + measured[0] / size
        to_c = c + (b + 0.5) / shifts - 0.5 + measured[1] / size
        step_r = min(max(to_r - place[0], -LARGEST_STEP_PX), LARGEST_STEP_PX)
        step_c = min(max(to_c - place[1], -LARGEST_STEP_PX), LARGEST_STEP_PX)
        place[0] += step_r
        place[1] += step_c
        # there and back again is a circle without an end
        back = step_r * before_r + step_c * before_c < -TURNED_BACK * (before_r**2 + before_c**2)
        if back or (abs(step_r) < SMALL_STEP_PX and abs(step_c) < SMALL_STEP_PX):
            break
        before_r, before_c = step_r, step_c
    return part


@njit(cache=True, nogil=True)
def take_out(
    cover: Cover, own: int, top: int, left: int, flat: Float32, windows: Windows, shape: tuple[int, int]
) -> float:
    """Make hidden pixels of a window zero, and one in its mask; returns the part of the disk that they hold."""
    values, mask, owners = windows[0][0], windows[0][1], windows[1]
    cut(cover, top, left, owners[: shape[0] * shape[1]].reshape(shape))
    zero, one, free, mine = np.float32(0.0), np.float32(1.0), np.int16(0), np.int16(own)
    for k in range(len(mask)):
        mask[k] = zero if (owners[k] == free) | (owners[k] == mine) else one
    for k in range(len(mask)):
        values[k] *= one - mask[k]
    return dot(mask, flat)


@njit(cache=True, nogil=True)
def measure(
    weights: Float32,
    background: float,
    part: float,
    covered: bool,
    stride: int,
    room: Float32,
    system: Float64,
    measured: Float64,
) -> bool:
    """
    What the filters would say of a window (displacement times intensity, intensity) if nothing in it were hidden.

    The hidden pixels of a `covered` window hold the background and, where they are a `part` of the disk that matters,
    this disk. False where its equations have no solution.
    """
    for j in range(3):
        measured[j] = dot(weights[j], room[0])
    if not covered:
        return True
    for j in range(3):
        measured[j] += background * dot(weights[j], room[1])
    if part < HARDLY_HIDDEN:
        return True
    hidden_slopes(weights[3], room, stride)
    for j in range(3):
        for k in range(3):
            system[j, k] = -dot(weights[j], room[2 + k])
        system[j, j] += 1.0
        system[j, 3] = measured[j]
    return solve_three(system, measured)


@njit(cache=True, nogil=True)
def hidden_slopes(flat: Float32, room: Float32, stride: int) -> None:
    """What a disk has in the hidden pixels: its change with a displacement by a row and by a column, and itself."""
    mask, down, right, shape = room[1], room[2], room[3], room[4]
    size, half = len(flat), np.float32(0.5)
    for k in range(size):
        shape[k] = mask[k] * flat[k]
    # the outermost pixels of a window are beyond the edge of its disk
    above, below, here, out = flat[: size - 2 * stride], flat[2 * stride :], mask[stride:-stride], down[stride:-stride]
    for k in range(len(out)):
        out[k] = half * here[k] * (above[k] - below[k])
    before, after, middle, target = flat[: size - 2], flat[2:], mask[1:-1], right[1:-1]
    for k in range(len(target)):
        target[k] = half * middle[k] * (before[k] - after[k])
    down[:stride], down[size - stride :], right[0], right[-1] = 0.0, 0.0, 0.0, 0.0


@njit(cache=True, nogil=True)
def solve_three(system: Float64, out: Float64) -> bool:
    """Solve three linear equations (3, 4), in place, from the first on; False where what is left of one is little."""
    for i in range(3):
        if system[i, i] < LEAST_PIVOT:
            return False
        for j in range(i + 1, 3):
            factor = system[j, i] / system[i, i]
            for k in range(i, 4):
                system[j, k] -= factor * system[i, k]
    for i in range(2, -1, -1):
        out[i] = system[i, 3]
        for k in range(i + 1, 3):
            out[i] -= system[i, k] * out[k]
        out[i] /= system[i, i]
    return True
