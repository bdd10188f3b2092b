"""Color profiles (ICC) of monitors, built by hand: three primaries and a gamma."""

from __future__ import annotations

import struct

# Primaries adapted to D50, as columns of the matrix to XYZ.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
WHITE = (0.96420, 1.0, 0.82491)


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def profile(primaries: tuple[tuple[float, ...], ...], gamma: float | None = None) -> bytes:
    """A profile of version 2; ``gamma`` None: the curve of sRGB, which is Display P3's too."""
    if gamma is None:
        steps = [i / 1023 for i in range(1024)]
        curve = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in steps]
        values = [round(65535 * v) for v in curve]
    else:
        values = [round(256 * gamma)]
    trc = b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *values)
    tags = {b"wtpt": _xyz(WHITE), b"cprt": b"text\0\0\0\0none\0", b"desc": _description(b"made by hand")}
    tags |= {name + b"XYZ": _xyz(column) for name, column in zip((b"r", b"g", b"b"), primaries, strict=True)}
    tags |= {name + b"TRC": trc for name in (b"r", b"g", b"b")}
    table, body, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", place + len(body), len(value))
        body += value
    size = place + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ").ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + b"".join(map(fixed, WHITE))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))


def _description(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)
