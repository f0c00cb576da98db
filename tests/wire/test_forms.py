"""What a file is, told from how it begins."""

import io

import numpy as np
import pytest

from livestrain_wire.forms import LOOKED_AT_BYTES, form_of


def saved(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(array))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"", "an empty file"),
        (saved([1.0]), "a .npy file"),
        (b"\x89HDF\r\n\x1a\n\x00", "an HDF5 file"),
        (b"PK\x03\x04\x14\x00", "a zip archive such as .npz"),
        (b"1.0 2.0\n3.0 4.0\n", r"text that begins with '1.0 2.0\n3.0 4.0\n'"),
        ("ä".encode() * 100, f"text that begins with '{'ä' * 20}'"),
        (b"a" + "ä".encode() * 100, f"text that begins with 'a{'ä' * 19}'"),
        (b"\x80\x04\x95\x00\x00", "bytes of an unknown form"),
        (bytes(range(256)), "bytes of an unknown form"),
    ],
)
def test_the_form_of_a_file_is_told_from_its_first_bytes(content: bytes, form: str) -> None:
    assert form_of(content[:LOOKED_AT_BYTES]) == form
