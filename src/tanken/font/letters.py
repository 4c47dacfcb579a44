"""Letters for the legends of pictures: small letters and digits of five by seven points, drawn for this file.

Rows from the top; a row is a number whose bit 4 is the leftmost point. A letter that is not here is left blank.
"""

from __future__ import annotations

WIDTH, HEIGHT = 5, 7
LETTERS = {letter: tuple(bytes.fromhex(rows)) for letter, rows in (line.split(None, 1) for line in """
0 0e 11 13 15 19 11 0e
1 04 0c 04 04 04 04 0e
2 0e 11 01 02 04 08 1f
3 1f 02 04 02 01 11 0e
4 02 06 0a 12 1f 02 02
5 1f 10 1e 01 01 11 0e
6 06 08 10 1e 11 11 0e
7 1f 01 02 04 08 08 08
8 0e 11 11 0e 11 11 0e
9 0e 11 11 0f 01 02 0c
a 00 00 0e 01 0f 11 0f
b 10 10 16 19 11 11 1e
c 00 00 0e 10 10 11 0e
d 01 01 0d 13 11 11 0f
e 00 00 0e 11 1f 10 0e
f 06 09 08 1c 08 08 08
g 00 0f 11 11 0f 01 0e
h 10 10 16 19 11 11 11
i 04 00 0c 04 04 04 0e
k 10 10 12 14 18 14 12
l 0c 04 04 04 04 04 0e
m 00 00 1a 15 15 15 15
n 00 00 16 19 11 11 11
o 00 00 0e 11 11 11 0e
p 00 00 1e 11 1e 10 10
r 00 00 16 19 10 10 10
s 00 00 0e 10 0e 01 1e
t 08 08 1c 08 08 09 06
u 00 00 11 11 11 13 0d
v 00 00 11 11 11 0a 04
w 00 00 11 11 15 15 0a
x 00 00 11 0a 04 0a 11
y 00 00 11 11 0f 01 0e
z 00 00 1f 02 04 08 1f
""".strip().splitlines())}  # fmt: skip


def points(text: str) -> list[tuple[int, int]]:
    """The points of a text, x to the right and y downwards; letters are six points apart."""
    return [(6 * i + x, y) for i, letter in enumerate(text) for y, row in enumerate(LETTERS.get(letter, ())) for x in range(WIDTH) if row >> (WIDTH - 1 - x) & 1]
