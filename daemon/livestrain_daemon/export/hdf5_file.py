from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py


@contextmanager
def made_in_memory(path: Path) -> Iterator[h5py.File]:
    """
    A new HDF5 file, written to the disk as a whole at the end.

    HDF5 itself ends the process where the disk is full; here that is an OSError like any other.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        yield file
        file.flush()
        image = file.id.get_file_image()
    path.write_bytes(image)
