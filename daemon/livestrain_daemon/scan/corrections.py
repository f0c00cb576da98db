"""The corrections that the configuration names, whose images get into the scan folder beside the main loop."""

from collections.abc import Mapping
from threading import Thread

from livestrain_daemon.errors import StorageError
from livestrain_daemon.plan import CorrectionsPlan
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scanfolder.detector_images import DetectorImage, store_image


class GivenCorrections:
    """
    What is done to a scan's frames while no plan says otherwise.

    Parameters
    ----------
    scan
        Whose.
    images
        Dark and gain, by these names, those that are given.
    saturation
        Stored counts from which on a pixel says nothing [counts].

    Notes
    -----
    Large images take longer to store than a turn of the main loop may: a thread of the scan's own does it, and no plan
    that names them is made before its end.
    """

    def __init__(self, scan: LiveScan, images: Mapping[str, DetectorImage], saturation: float | None) -> None:
        self._scan = scan
        self._images = dict(images)
        self._saturation = saturation
        self._failures: dict[str, str] = {}
        self._thread = Thread(target=self._store, args=(dict(images),), name="corrections", daemon=True)
        if images:
            self._thread.start()

    @property
    def stored(self) -> bool:
        """True when every image is in the scan folder, or has been told not to get there."""
        if self._thread.is_alive():
            return False
        while self._failures:
            key, reason = self._failures.popitem()
            del self._images[key]
            self._scan.notebook.tell(f"{key}_not_used", f"analysis.{key} is not used: {reason}", "error")
        return True

    @property
    def plan(self) -> CorrectionsPlan:
        """For a plan, once they are stored."""
        return CorrectionsPlan(
            saturation=self._saturation, **{key: image.digest for key, image in self._images.items()}
        )

    def _store(self, images: dict[str, DetectorImage]) -> None:
        for key, image in images.items():
            try:
                store_image(self._scan.folder, image)
            except StorageError as error:
                self._failures[key] = str(error)
