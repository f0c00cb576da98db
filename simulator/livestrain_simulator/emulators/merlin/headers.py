"""Text that a Merlin sends: framing, the header of an acquisition, the header of each frame."""

from collections.abc import Mapping
from datetime import datetime

from livestrain_simulator.emulators.merlin.pixels import PixelKind

HEADER_BYTES = 2048
DACS = "011,511,000,000,000,000,000,000,175,010,200,125,100,100,093,100,099,030,128,004,255,140,128,191,179,511,511"
THRESHOLDS = ",".join(["2.000000E+0", "5.110000E+2", *["0.000000E+0"] * 6])
TRIGGERS = ("Internal", "Rising Edge", "Falling Edge", "LVDS Rising", "LVDS Falling", "Soft Trigger")


def framed(payload: bytes, short_by: int = 0) -> bytes:
    """A payload behind its length, which counts the comma between them, or too little."""
    return b"MPX,%010d," % (len(payload) + 1 - short_by) + payload


def acquisition_header(settings: Mapping[str, float], kind: PixelKind, started: datetime) -> bytes:
    """What is sent before the first frame of an acquisition: 2048 bytes of lines."""
    lines = {
        "Time and Date Stamp (day, mnth, yr, hr, min, s)": f"{started:%d/%m/%Y %H:%M:%S}",
        "Chip ID": ",".join(f"W000_{chip}" for chip in range(kind.chips)),
        "Chip Type (Medipix 3.0, Medipix 3.1, Medipix 3RX)": "Medipix 3RX",
        "Assembly Size (NX1, 2X2)": f"{kind.layout:>6}",
        "Chip Mode  (SPM, CSM, CM, CSCM)": "SPM",
        "Counter Depth (number)": str(kind.depth),
        "Gain": "SLGM",
        "Active Counters": "Alternating" if settings["CONTINUOUSRW"] else "Counter 0",
        "Thresholds (keV)": THRESHOLDS,
        "DACs": DACS,
        "Gap Fill Mode": "None",
        "Flat Field File": "None",
        "Acquisition Type (Normal, Th_scan, Config)": "Normal",
        "Frames in Acquisition (Number)": f"{settings['NUMFRAMESTOACQUIRE']:.0f}",
        "Frames per Trigger (Number)": f"{settings['NUMFRAMESPERTRIGGER']:.0f}",
        "Trigger Start (Positive, Negative, Internal)": TRIGGERS[int(settings["TRIGGERSTART"])],
        "Trigger Stop (Positive, Negative, Internal)": TRIGGERS[int(settings["TRIGGERSTOP"])],
        "Sensor Bias (V)": "120 V",
        "Medipix Clock (MHz)": "120MHz",
        "Readout System": "Merlin Quad",
        "Software Version": "emulated",
    }
    if settings["STEMSCANX"] and settings["STEMSCANY"]:
        lines |= {"ScanX": f"{settings['STEMSCANX']:.0f}", "ScanY": f"{settings['STEMSCANY']:.0f}"}
    text = "HDR,\t\r\n" + "".join(f"{name}:\t{value}\r\n" for name, value in lines.items()) + "End\t"
    return text.encode("latin-1").ljust(HEADER_BYTES, b" ")


def frame_header(number: int, kind: PixelKind, sent_shape: tuple[int, int], at: datetime, exposure_ms: float) -> bytes:
    """What is sent before the pixels of a frame; ``number`` counts from 1."""
    offset = 256 + 128 * kind.chips
    height, width = sent_shape
    begin = f"MQ1,{number:06d},{offset:05d},{kind.chips:02d},{width:04d},{height:04d},{kind.code},{kind.layout:>6},"
    seen = f"{(1 << kind.chips) - 1:02X},{at:%Y-%m-%d %H:%M:%S.%f},{exposure_ms / 1e3:.6f},0,0,0,{THRESHOLDS},"
    chips = f"3RX,{DACS}," * kind.chips
    end = f"MQ1A,{at:%Y-%m-%dT%H:%M:%S.%f}000Z,{exposure_ms * 1e6:.0f}ns,{kind.depth},"
    return (begin + seen + chips + end).encode("latin-1").ljust(offset, b"\0")
