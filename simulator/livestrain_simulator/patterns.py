"""Diffraction patterns of a specimen, as a detector counts them."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.kernels import draw, expected_frame
from livestrain_simulator.limits import BLOCK_BYTES, MOST_ELECTRONS
from livestrain_simulator.specimen import Map, Specimen

PixelType = Literal["uint8", "uint16", "uint32", "float32"]
CEILINGS = {"uint8": 2.0**8 - 1, "uint16": 2.0**16 - 1, "uint32": 2.0**32 - 1, "float32": 2.0**24}
"""The largest count that each type holds exactly."""
CENTRAL_SHARE = 1.6
"""Brightness of the central disk against the brightest that others can reach."""


@dataclass(frozen=True)
class Camera:
    """The beam and the detector that a pattern is taken with."""

    shape: tuple[int, int] = (128, 128)
    """Pixels (rows, columns)."""
    radius_px: float = 6.0
    """Radius of a diffraction disk [px]."""
    edge_px: float = 0.6
    """Width of a disk's soft edge [px]."""
    dose: float = 1e5
    """Electrons per frame [counts]."""
    background: float = 0.06
    """Share of them in a smooth background."""
    nonuniformity: float = 0.3
    """Contrast of the fringes inside disks, 0 to 0.9."""
    descan_px: tuple[float, float] = (1.2, -0.8)
    """How far the pattern wanders from one end of the scan to the other, down its rows and along its columns [px]."""
    dtype: PixelType = "uint16"
    seed: int = 0
    """Decides the disks' brightness and every count."""

    def __post_init__(self) -> None:
        if not (self.radius_px > 0 and self.edge_px > 0):
            raise ValueError("radius and edge are above zero")
        if not 0 <= self.dose <= MOST_ELECTRONS:
            raise ValueError(f"expected a dose of 0 to {MOST_ELECTRONS:g} electrons, found {self.dose:g}")
        if not (0 <= self.nonuniformity <= 0.9 and 0 <= self.background <= 1):
            raise ValueError("nonuniformity lies in 0 to 0.9, background in 0 to 1")

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the detector, off by a fraction of a pixel as centres are (row, column) [px]."""
        return (self.shape[0] - 1) / 2 + 0.3, (self.shape[1] - 1) / 2 - 0.2


class Renderer:
    """
    Renders the frames of a specimen.

    A frame depends on the seed and on its scan position alone (a flyback frame on its number), never on what was
    rendered before or with it.
    """

    def __init__(self, specimen: Specimen, camera: Camera) -> None:
        self.specimen = specimen
        self.camera = camera
        self.clipped = 0
        """Pixels so far that held more than their type can."""
        self.centres = _descan(specimen.scan_shape, camera)
        """(scan_rows, scan_columns, 2) centre of each pattern (row, column) [px]."""
        self._vectors = specimen.vectors().reshape(-1, 2, 2)
        indices = specimen.lattice.indices()
        self.indices = indices if specimen.crystalline else indices[:1]
        """(n, 2) indices (h, k) of the disks."""
        self._look = _Look(self.indices, specimen, camera)
        self._expected = np.empty(camera.shape)
        self._uniforms = np.empty(camera.shape)
        self._background = camera.dose * camera.background * _lorentzian(camera)

    def disks(self, position: int) -> Map:
        """The disks of a flat position, (n, 2) true centres (row, column) [px]."""
        return np.asarray(self.centres.reshape(-1, 2)[position] + self.indices @ self._vectors[position])

    def expected(self, position: int) -> Map:
        """Mean counts at a flat position, without noise, (rows, columns) [counts]."""
        return self._mean_counts(position).copy()

    def frames(self, positions: NDArray[np.int64], first_index: int = 0) -> NDArray[Any]:
        """
        Frames with counting noise.

        Parameters
        ----------
        positions : (n,)
            Flat positions; below zero for a flyback frame, which shows the beam sweeping over the detector.
        first_index
            Number of the first frame.

        Returns
        -------
        (n, rows, columns)
            Counts of the camera's type.
        """
        camera = self.camera
        block = np.empty((len(positions), *camera.shape), dtype=np.dtype(camera.dtype))
        for number, position in enumerate(positions):
            flyback = position < 0
            expected = self._flyback() if flyback else self._mean_counts(int(position))
            key = (camera.seed, int(flyback), first_index + number if flyback else int(position))
            np.random.default_rng(key).random(out=self._uniforms)
            self.clipped += draw(expected, self._uniforms, block[number], CEILINGS[camera.dtype])
        return block

    def blocks(self, positions: NDArray[np.int64], most_frames: int = 128) -> Iterator[NDArray[Any]]:
        """The frames of all these positions, a block at a time."""
        frame_bytes = self._expected.size * np.dtype(self.camera.dtype).itemsize
        frames_per_block = max(1, min(most_frames, BLOCK_BYTES // frame_bytes))
        for first in range(0, len(positions), frames_per_block):
            yield self.frames(positions[first : first + frames_per_block], first)

    def _mean_counts(self, position: int) -> Map:
        """Likewise, in memory that the next call overwrites."""
        camera = self.camera
        disks = np.empty((len(self.indices), 6))
        disks[:, :2] = self.disks(position)
        self._look.at(float(self.specimen.thickness.flat[position]), disks)
        brightness = float(self.specimen.brightness.flat[position])
        expected_frame(
            self._expected,
            disks,
            camera.radius_px,
            camera.edge_px,
            camera.nonuniformity,
            brightness * self._background,
            brightness * camera.dose * (1 - camera.background),
        )
        return self._expected

    def _flyback(self) -> Map:
        pixels = self.camera.shape[0] * self.camera.shape[1]
        return np.full(self.camera.shape, self.camera.dose / pixels)


def vacuum_probe(camera: Camera) -> NDArray[np.float32]:
    """The central disk alone, in the middle of the detector, without noise or background, (rows, columns) [counts]."""
    out = np.empty(camera.shape)
    disk = np.array([[*camera.centre, 1.0, 0.0, 0.0, 0.0]])
    expected_frame(out, disk, camera.radius_px, camera.edge_px, 0.0, np.zeros(camera.shape), camera.dose)
    return out.astype(np.float32)


class _Look:
    """How bright each disk is, and how its fringes lie: fixed by the seed, moved by the thickness."""

    def __init__(self, indices: NDArray[np.int64], specimen: Specimen, camera: Camera) -> None:
        count = len(indices)
        random = np.random.default_rng((camera.seed, 2))
        vectors = indices @ specimen.lattice.vectors()
        distance = np.linalg.norm(vectors, axis=1) / specimen.lattice.spacing_px
        self._base = np.exp(-(distance**2) / 8) * random.uniform(0.35, 1.0, count)
        self._base[0] = CENTRAL_SHARE
        self._beat = random.uniform(2.0, 5.0, count)
        self._phase = random.uniform(0, 2 * pi, count)
        # fringes run across the direction of the Bragg vector, one to one and a half to a disk
        along = np.where(distance[:, None] > 0, vectors, np.array([1.0, 0.5]))
        along = along / np.linalg.norm(along, axis=1)[:, None]
        self._wave = along * random.uniform(1.0, 1.5, count)[:, None] * pi / camera.radius_px
        self._fringe = random.uniform(0, 2 * pi, count)

    def at(self, thickness: float, disks: Map) -> None:
        """Fill in weight, fringe vector and fringe phase of each disk."""
        turn = 2 * pi * thickness
        disks[:, 2] = self._base * (1.0 + 0.5 * np.cos(self._beat * turn + self._phase))
        disks[:, 3:5] = self._wave
        disks[:, 5] = self._fringe + 2.0 * self._beat * turn


def _lorentzian(camera: Camera) -> Map:
    """A smooth background with a sum of 1, as wide as an eighth of the detector or so."""
    row, column = np.ogrid[: camera.shape[0], : camera.shape[1]]
    squared = (row - camera.centre[0]) ** 2 + (column - camera.centre[1]) ** 2
    profile = 1.0 / (1.0 + squared / (0.12 * sum(camera.shape)) ** 2)
    return np.asarray(profile / profile.sum())


def _descan(scan_shape: tuple[int, int], camera: Camera) -> Map:
    """Centre of the pattern at each position: a plane."""
    rows, columns = (np.linspace(-0.5, 0.5, side) if side > 1 else np.zeros(1) for side in scan_shape)
    centres = np.empty((*scan_shape, 2))
    # down the scan the pattern shifts along one detector axis, along the scan a little along both
    centres[..., 0] = camera.centre[0] + camera.descan_px[0] * rows[:, None] + 0.3 * camera.descan_px[1] * columns
    centres[..., 1] = camera.centre[1] + camera.descan_px[1] * columns + 0.3 * camera.descan_px[0] * rows[:, None]
    return centres
