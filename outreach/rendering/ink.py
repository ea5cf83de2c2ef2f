"""A drawn signature as a curve: the strokes that were recorded become one SVG path, sharp at any size."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

FIELD = (1000, 400)
"""Width and height of the field that strokes are recorded on."""
WIDTH = 9
MARGIN = 20

Point = tuple[float, float]


def svg(strokes: Sequence[Sequence[Sequence[Any]]]) -> str:
    """Return strokes, [[[x, y, milliseconds], …], …], as SVG, cut to what was drawn.

    Between two points the pen goes through their middle, bending at the points themselves; a stroke of one point is a dot.
    """
    lines = [[(_within(point[0], FIELD[0]), _within(point[1], FIELD[1])) for point in stroke] for stroke in strokes if stroke]
    points = [point for line in lines for point in line] or [(0.0, 0.0)]
    left, top = (min(values) - MARGIN for values in zip(*points, strict=True))
    right, bottom = (max(values) + MARGIN for values in zip(*points, strict=True))
    path = " ".join(part for line in lines for part in _curve(line))
    box = " ".join(map(_number, (left, top, right - left, bottom - top)))
    style = f'fill="none" stroke="#000" stroke-width="{WIDTH}" stroke-linecap="round" stroke-linejoin="round"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"><path {style} d="{path}"/></svg>'


def _within(value: Any, size: int) -> float:
    return min(max(float(value), 0.0), float(size))


def _curve(line: Sequence[Point]) -> Iterator[str]:
    yield "M" + _pair(line[0])
    for bend, after in pairwise(line[1:]):
        yield f"Q{_pair(bend)} {_pair(((bend[0] + after[0]) / 2, (bend[1] + after[1]) / 2))}"
    yield "L" + _pair(line[-1])


def _pair(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
