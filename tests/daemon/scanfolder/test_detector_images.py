from pathlib import Path

import numpy as np
import pytest

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder.detector_images import DetectorImage, load_image, store_image

IMAGE = np.arange(12, dtype=np.float32).reshape(3, 4)
KEPT = DetectorImage.of(IMAGE)


def test_an_image_is_found_again_by_its_digest(tmp_path: Path) -> None:
    store_image(tmp_path, KEPT)
    np.testing.assert_array_equal(load_image(tmp_path, KEPT.digest, (3, 4)), IMAGE)
    store_image(tmp_path, DetectorImage.of(IMAGE.copy()))
    assert len(list(tmp_path.iterdir())) == 1


def test_another_image_has_another_digest() -> None:
    digests = {DetectorImage.of(image).digest for image in (IMAGE, IMAGE + 1, IMAGE.reshape(4, 3))}
    assert len(digests) == 3


def test_an_image_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="image-0123"):
        load_image(tmp_path, "0123", (3, 4))


@pytest.mark.parametrize("damage", ["cut", "other", "shape", "text"])
def test_an_image_that_is_not_what_its_digest_says_is_an_error(tmp_path: Path, damage: str) -> None:
    store_image(tmp_path, KEPT)
    (path,) = tmp_path.iterdir()
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-4])
        case "other":
            np.save(path, IMAGE + 1)
        case "shape":
            np.save(path, IMAGE.reshape(4, 3))
        case _:
            path.write_text("no image")
    with pytest.raises(StorageError, match=KEPT.digest):
        load_image(tmp_path, KEPT.digest, (3, 4))
