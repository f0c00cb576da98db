"""What a file is, told from how it begins: for messages about files that hold no array."""

NPY = b"\x93NUMPY"
LOOKED_AT_BYTES = 64
FORMS = {
    NPY: "a .npy file",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"PK\x03\x04": "a zip archive such as .npz",
    b"\x89PNG": "a PNG image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
}
SHOWN = 20
"""Characters of a text that are repeated."""


def form_of(beginning: bytes) -> str:
    """
    The form of a file, for a person.

    Parameters
    ----------
    beginning
        Its first `LOOKED_AT_BYTES` bytes.
    """
    if not beginning:
        return "an empty file"
    for magic, form in FORMS.items():
        if beginning.startswith(magic):
            return form
    # the last character may have been cut
    text = beginning.decode("utf-8", errors="ignore")
    readable = len(text.encode()) > len(beginning) - 4 and all(one.isprintable() or one in "\t\r\n" for one in text)
    return f"text that begins with {text[:SHOWN]!r}" if readable else "bytes of an unknown form"
