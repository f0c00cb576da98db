"""
Images in a stream of bytes, one after the other with nothing between them.

Nothing says how long an image is but its header. A stream in which bytes are missing or too many is taken up again at
the next header.
"""

from dataclasses import dataclass

from livestrain_daemon.intake.detectors.asi.errors import WrongMessage
from livestrain_daemon.intake.detectors.asi.image import (
    BEGINNING,
    LONGEST_HEADER,
    SHORTEST_BEGINNING,
    ImageHeader,
    image_header,
)
from livestrain_daemon.intake.detectors.asi.inbox import Inbox

SLACK_BYTES = 64
"""So many bytes too many, or a header that is longer by so much, are not an image more."""

FARTHEST_IMAGES = 4
"""So far behind an image the next header is looked for before the image is believed."""
FARTHEST_BYTES = 1 << 23
"""No farther than so, unless an image is longer."""
MOST_TRIED = 16
"""So much that looks like the beginning of a header is read in as many bytes as a header may have, and no more."""


@dataclass(frozen=True, slots=True)
class Image:
    """One frame; `pixels` last until the next bytes are taken."""

    header: ImageHeader
    pixels: memoryview


@dataclass(frozen=True, slots=True)
class Junk:
    """Bytes that are no image."""

    kind: str
    text: str
    frames: int
    """Images that were there, judging by the number of bytes."""


class ImageSplitter:
    """
    Cuts what comes in into images, in bounded memory.

    An image is handed out once the beginning of the next one has been seen behind it, or once nothing more comes: if
    bytes of it are missing, the next one begins inside of it.

    Parameters
    ----------
    inbox
        What has come in.
    largest
        Images that announce more are none [bytes].
    """

    def __init__(self, inbox: Inbox, largest: int) -> None:
        self._inbox = inbox
        self._largest = largest
        self._lost: WrongMessage | None = None
        self._skipped = 0
        self._usual = 0
        self._looked_at = 0
        self._known: tuple[bytes, ImageHeader] | None = None
        """The latest header: where its bytes come again, they say the same."""

    @property
    def lost(self) -> bool:
        """What comes in is no image; the next header is looked for."""
        return self._lost is not None

    def reset(self) -> Junk | None:
        """Nothing more comes of what has begun; what it was, if anything."""
        begun, self._skipped = self._skipped + self._inbox.clear(), 0
        self._looked_at = 0
        wrong, self._lost = self._lost, None
        if wrong:
            return Junk(wrong.kind, str(wrong), self._images_in(begun))
        text = f"expected a whole image, found that nothing came after {begun} bytes of it"
        return Junk("bad_message", text, 1) if begun else None

    def next(self, quiet: bool = False) -> Image | Junk | None:
        """
        The next image, or what is there instead; None if more bytes are needed.

        Parameters
        ----------
        quiet
            Nothing has come for a while.
        """
        if self._lost is not None:
            return self._found(self._lost)
        try:
            header = self._header(0)
        except WrongMessage as error:
            self._lost = error
            self._skip(1)
            return self._found(error)
        if header is None:
            return None
        after = header.length + header.size
        if len(self._inbox) < after:
            # an image larger than those before it may be one whose header is damaged
            return self._cut_short(header) if quiet or 0 < self._usual < after - SLACK_BYTES else None
        if self._follows(after):
            return self._whole(header)
        return self._judged(header, quiet) if quiet or len(self._inbox) >= after + SHORTEST_BEGINNING else None

    def _header(self, at: int) -> ImageHeader | None:
        if self._known and self._inbox.has(self._known[0], at):
            return self._known[1]
        beginning = bytes(self._inbox.view(at, at + LONGEST_HEADER))
        header = image_header(beginning, self._largest)
        if header:
            self._known = beginning[: header.length], header
        return header

    def _follows(self, after: int) -> bool:
        """Whether a header is what follows an image."""
        if len(self._inbox) < after + SHORTEST_BEGINNING:
            return False
        try:
            self._header(after)
        except WrongMessage:
            return False
        return True

    def _judged(self, header: ImageHeader, quiet: bool) -> Image | Junk | None:
        """
        An image that no header follows; None if more bytes are needed.

        Either the next header is damaged, and the one behind it is whole images away, or bytes are missing here.
        """
        length = header.length + header.size
        # what follows comes in many parts, and each is looked at once
        at = self._search(max(header.length, self._looked_at - LONGEST_HEADER))
        if at is None:
            self._looked_at = len(self._inbox)
            farthest = length + min(FARTHEST_IMAGES * length, max(FARTHEST_BYTES, length)) + LONGEST_HEADER
            if not quiet and self._looked_at < farthest:
                return None
        if at is not None and at < length:
            return self._cut_short(header)
        odd = ((len(self._inbox) if at is None else at) - length) % length
        if min(odd, length - odd) <= min(SLACK_BYTES, length // 4):
            return self._whole(header)
        self._usual = length
        skipped = len(self._inbox) if at is None else at
        self._inbox.skip(skipped)
        self._looked_at = 0
        text = f"expected the next image after {length} bytes, found no beginning of one in {skipped}"
        return Junk("bad_message", text, self._images_in(skipped))

    def _whole(self, header: ImageHeader) -> Image:
        self._usual = header.length + header.size
        image = Image(header, self._inbox.view(header.length, self._usual))
        self._inbox.skip(self._usual)
        self._looked_at = 0
        return image

    def _cut_short(self, header: ImageHeader) -> Junk | None:
        """The image, if the next one begins inside of it."""
        # a long image comes in many parts, and each is looked at once
        at = self._search(max(header.length, self._looked_at - LONGEST_HEADER))
        self._looked_at = len(self._inbox)
        if at is None or at >= header.length + header.size:
            return None
        self._inbox.skip(at)
        self._looked_at = 0
        text = f"expected an image of {header.size} bytes, found the next one after {at - header.length} of them"
        return Junk("bad_message", text, 1)

    def _found(self, wrong: WrongMessage) -> Junk | None:
        """Move to the next header; what cannot be the beginning of one is thrown away."""
        at = self._search(0)
        if at is None:
            self._skip(max(len(self._inbox) - LONGEST_HEADER, 0))
            return None
        self._skip(at)
        header = self._header(0)
        self._usual = self._usual or (header.length + header.size if header else 0)
        skipped, self._skipped, self._lost = self._skipped, 0, None
        return Junk(wrong.kind, str(wrong), self._images_in(skipped))

    def _search(self, first: int) -> int | None:
        """Where a whole header begins."""
        begin, tried = first, 0

        def is_right(at: int) -> bool:
            nonlocal begin, tried
            if at - begin >= LONGEST_HEADER:
                begin, tried = at, 0
            tried += 1
            return tried <= MOST_TRIED and self._is_whole_header(at)

        return self._inbox.find(BEGINNING, first, is_right)

    def _is_whole_header(self, at: int) -> bool:
        try:
            return self._header(at) is not None
        except WrongMessage:
            # the bytes are counted with what is skipped
            return False

    def _images_in(self, size: int) -> int:
        """How many images so many bytes have been: a few too many make no image."""
        usual = self._usual or size
        return -(-(size - min(SLACK_BYTES, usual // 4)) // usual)

    def _skip(self, count: int) -> None:
        self._inbox.skip(count)
        self._skipped += count
        self._looked_at = 0
