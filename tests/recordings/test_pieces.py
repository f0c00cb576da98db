import numpy as np
import pytest

from livestrain_recordings.pieces import SLAB_BYTES, pieces


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((300, 512, 256, 256), (1, 16)),
        ((300, 512, 256, 256), (64, 64)),
        ((4, 9000, 256, 256), (1, 100)),
        ((50_000, 256, 256), (100,)),
        ((2, 3, 9000, 9000), (1, 1)),
    ],
)
def test_files_are_read_in_order_a_bounded_piece_at_a_time(shape: tuple[int, ...], chunks: tuple[int, ...]) -> None:
    frame_bytes = shape[-2] * shape[-1] * 2
    rows = np.arange(int(np.prod(shape[:-2]))).reshape(shape[:-2])
    expected = 0
    for piece in pieces(shape, chunks, 2):
        numbers = rows[piece].ravel()
        assert numbers[0] == expected
        assert len(numbers) * frame_bytes <= max(SLAB_BYTES, frame_bytes)
        np.testing.assert_array_equal(numbers, np.arange(expected, expected + len(numbers)))
        expected += len(numbers)
    assert expected == rows.size
