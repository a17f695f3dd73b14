"""Edges of a picture, in pure Python: decode a PNG, blur, Sobel, encode a PNG. Draws its own picture when given none.

    faasctl run examples/image.py > edges.json
    python3 -c 'import base64, json; open("edges.png", "wb").write(base64.b64decode(json.load(open("edges.json"))["png"]))'

A small preview is printed as text; what a function prints goes to stderr of `faasctl run`. With a picture of your own
(8 bits per channel, not interlaced):

    python3 -c 'import base64, json; print(json.dumps([base64.b64encode(open("photo.png", "rb").read()).decode()]))' |
        faasctl run image --args - > edges.json
"""
import base64
import math
import struct
import zlib
from typing import Any, Dict, List, Optional

_Rows = List[List[float]]  # grey, 0 to 255
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by PNG colour type: grey, RGB, grey + alpha, RGBA


def image(png: Optional[str] = None, width: int = 192, height: int = 128, sigma: float = 1.0) -> Dict[str, Any]:
    """Find the edges of a PNG given as base64, or of a Mandelbrot set of width × height.

    Blurs with a Gaussian of `sigma` pixels first. Returns the size and a grey PNG as base64.
    """
    rows = _decode(base64.b64decode(png)) if png else _mandelbrot(width, height)
    edges = _sobel(_blur(rows, sigma))
    for line in _preview(edges, 72):
        print(line)
    return {
        "width": len(edges[0]),
        "height": len(edges),
        "png": base64.b64encode(_encode(edges)).decode(),
    }


def _mandelbrot(width: int, height: int, limit: int = 64) -> _Rows:
    rows = []
    for j in range(height):
        row = []
        for i in range(width):
            c = complex(-2.2 + 3.2 * i / width, -1.1 + 2.2 * j / height)
            z, n = 0j, 0
            while n < limit and z.real * z.real + z.imag * z.imag < 4:
                z, n = z * z + c, n + 1
            row.append(255.0 * n / limit)
        rows.append(row)
    return rows


def _blur(rows: _Rows, sigma: float) -> _Rows:
    if sigma <= 0:
        return rows
    reach = max(1, math.ceil(2 * sigma))
    weights = [math.exp(-(k * k) / (2 * sigma * sigma)) for k in range(-reach, reach + 1)]
    total = sum(weights)
    kernel = [(k, weight / total) for k, weight in zip(range(-reach, reach + 1), weights)]

    def along(lines: _Rows) -> _Rows:
        last = len(lines[0]) - 1
        return [
            [sum(line[min(max(i + k, 0), last)] * weight for k, weight in kernel) for i in range(last + 1)]
            for line in lines
        ]

    def turned(lines: _Rows) -> _Rows:
        return [list(column) for column in zip(*lines)]

    return turned(along(turned(along(rows))))  # a Gaussian is separable: two passes instead of a square


def _sobel(rows: _Rows) -> _Rows:
    bottom, right = len(rows) - 1, len(rows[0]) - 1
    out = []
    for j in range(bottom + 1):
        above, here, below = rows[max(j - 1, 0)], rows[j], rows[min(j + 1, bottom)]
        line = []
        for i in range(right + 1):
            w, e = max(i - 1, 0), min(i + 1, right)
            gx = above[e] + 2 * here[e] + below[e] - above[w] - 2 * here[w] - below[w]
            gy = below[w] + 2 * below[i] + below[e] - above[w] - 2 * above[i] - above[e]
            line.append(min(255.0, math.hypot(gx, gy)))
        out.append(line)
    return out


def _preview(rows: _Rows, columns: int) -> List[str]:
    shades = " .:-=+*#%@"
    height, width = len(rows), len(rows[0])
    columns = min(columns, width)
    lines = max(1, height * columns // (2 * width))  # a character is about twice as high as wide
    return [
        "".join(shades[int(rows[j * height // lines][i * width // columns] * 9 / 255)] for i in range(columns)).rstrip()
        for j in range(lines)
    ]


def _encode(rows: _Rows) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    raw = b"".join(b"\0" + bytes(int(value) for value in row) for row in rows)
    return _SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def _decode(data: bytes) -> _Rows:
    if not data.startswith(_SIGNATURE):
        raise ValueError("not a PNG: it starts with {!r}".format(data[:8]))
    at, header, packed = len(_SIGNATURE), b"", b""
    while at + 8 <= len(data):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            packed += body
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if depth != 8 or colour not in _CHANNELS or interlace:
        raise ValueError("only 8-bit grey or RGB PNGs, not interlaced: depth {}, type {}".format(depth, colour))
    size = _CHANNELS[colour]
    raw, stride, previous, rows = zlib.decompress(packed), width * size, bytes(width * size), []
    for j in range(height):
        start = j * (stride + 1)
        previous = _unfilter(raw[start], raw[start + 1 : start + 1 + stride], previous, size)
        rows.append([_grey(previous[i : i + size]) for i in range(0, stride, size)])
    return rows


def _unfilter(kind: int, line: bytes, previous: bytes, size: int) -> bytes:
    out = bytearray(line)
    for i in range(len(out)):
        left = out[i - size] if i >= size else 0
        up = previous[i]
        corner = previous[i - size] if i >= size else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        elif kind == 4:
            p = left + up - corner
            guess = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
        else:
            break
        out[i] = (out[i] + guess) & 255
    return bytes(out)


def _grey(pixel: bytes) -> float:
    if len(pixel) < 3:
        return float(pixel[0])
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
