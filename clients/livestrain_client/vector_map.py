"""The Bragg vector map as it is known here: what is published and what was asked for, the newest of both."""

import numpy as np

from livestrain_client.state import pixels_of
from livestrain_client.updates import VectorMapChanged
from livestrain_wire.messages import BraggVectorMap, BraggVectorMapReply


class VectorMapState:
    """The Bragg vector map of one scan. It grows with the positions analysed, so that one of fewer is an older one."""

    def __init__(self) -> None:
        self.held: VectorMapChanged | None = None
        """The newest."""
        self.wanted = False
        """True where one has been published that did not come here."""
        self._epoch = ""
        self._seen = 0

    def renew(self) -> None:
        """The daemon has been started again: sequences count anew; the map stays until another comes."""
        self._seen = 0

    def heard(self, sequence: int) -> None:
        """Take note of the latest sequence of the topic: a later one than is here has to be asked for."""
        if sequence > self._seen:
            self._seen, self.wanted = sequence, True

    def published(self, message: BraggVectorMap, payload: bytes) -> list[VectorMapChanged]:
        """
        Take a published map.

        Raises
        ------
        WireError
            If the payload does not fit.
        """
        self._seen = max(self._seen, message.sequence)
        return self._hold(message, payload)

    def replied(self, reply: BraggVectorMapReply, payload: bytes) -> list[VectorMapChanged]:
        """
        Take a map that was asked for.

        Raises
        ------
        WireError
            If the payload does not fit.
        """
        return self._hold(reply, payload)

    def _hold(self, message: BraggVectorMap | BraggVectorMapReply, payload: bytes) -> list[VectorMapChanged]:
        about = message.about
        if self.held is not None and self._epoch == message.epoch:
            held = self.held.about
            # a reply may be made before a map is published and come after it, and the other way round
            if (about.revision, about.positions) < (held.revision, held.positions):
                return []
        # whatever a daemon sends, the same map must have the same bits
        pixels = pixels_of(payload, about.dtype, about.shape).astype(np.float32)
        self.held = VectorMapChanged(pixels, about.model_copy(update={"dtype": "float32"}))
        self._epoch = message.epoch
        return [self.held]
