"""A terminal's screen from the octets that were sent to it: what a person saw.

ECMA-48 (ISO 6429) and the DEC VT220 for cursor, erasing, scrolling, insertion, the alternate screen and line drawing; colours are read over.
"""

from __future__ import annotations

import codecs
import unicodedata

LINES = dict(zip("`afgjklmnopqrstuvwxyz{|}~", "◆▒°±┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True))  # the DEC special graphics set
LIMIT = 500  # columns and rows at most
SEQUENCE = 256  # characters of a control sequence at most


class Screen:
    """`feed` octets, then read `rows`."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self.width, self.height = width, height
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._reset()

    def _reset(self) -> None:
        self.cells = [[" "] * self.width for _ in range(self.height)]
        self.x = self.y = 0
        self.top, self.bottom = 0, self.height - 1
        self.wrap, self.insert, self._pending = True, False, False
        self._saved = (0, 0)
        self._other: list[list[str]] | None = None
        self._graphics = [False, False]
        self._shift = 0
        self._state, self._text = "", ""
        self.title = ""

    @property
    def rows(self) -> list[str]:
        """The lines, without blanks at their ends."""
        return ["".join(row).rstrip() for row in self.cells]

    def resize(self, width: int, height: int) -> None:
        """The window has another size; 0 is not said."""
        width, height = min(width or self.width, LIMIT), min(height or self.height, LIMIT)
        self.cells = [(row + [" "] * width)[:width] for row in self.cells][:height]
        self.cells += [[" "] * width for _ in range(height - len(self.cells))]
        self.width, self.height = width, height
        self.top, self.bottom = 0, height - 1
        self.x, self.y = min(self.x, width - 1), min(self.y, height - 1)

    def feed(self, octets: bytes) -> None:
        """Octets that were sent to the terminal."""
        for character in self._decoder.decode(octets):
            if self._state:
                self._escaped(character)
            elif character < " " or character == "\x7f":
                self._control(character)
            else:
                self._put(character)

    def _put(self, character: str) -> None:
        if self._graphics[self._shift]:
            character = LINES.get(character, character)
        if unicodedata.combining(character):
            if self.x:
                self.cells[self.y][self.x - 1] += character
            return
        wide = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if self._pending or self.x + wide > self.width:
            self._pending = False
            if self.wrap:
                self.x = 0
                self._down()
            else:
                self.x = self.width - wide
        row = self.cells[self.y]
        if self.insert:
            row[self.x : self.x] = [" "] * wide
            del row[self.width :]
        row[self.x] = character
        if wide == 2 and self.x + 1 < self.width:
            row[self.x + 1] = ""
        self.x += wide
        if self.x >= self.width:
            self.x, self._pending = self.width - 1, True

    def _control(self, character: str) -> None:
        if character == "\x1b":
            self._state, self._text = "esc", ""
        elif character == "\r":
            self.x, self._pending = 0, False
        elif character in "\n\x0b\x0c":
            self._down()
        elif character == "\b":
            self.x, self._pending = max(0, self.x - 1), False
        elif character == "\t":
            self.x = min(self.width - 1, (self.x // 8 + 1) * 8)
        elif character in "\x0e\x0f":
            self._shift = int(character == "\x0e")

    def _down(self) -> None:
        self._pending = False
        if self.y == self.bottom:
            self._scroll(1)
        elif self.y < self.height - 1:
            self.y += 1

    def _up(self) -> None:
        if self.y == self.top:
            self._scroll(-1)
        elif self.y:
            self.y -= 1

    def _scroll(self, count: int, top: int | None = None) -> None:
        top = self.top if top is None else top
        for _ in range(min(abs(count), self.height)):
            if count > 0:
                del self.cells[top]
                self.cells.insert(self.bottom, [" "] * self.width)
            else:
                del self.cells[self.bottom]
                self.cells.insert(top, [" "] * self.width)

    def _escaped(self, character: str) -> None:
        state = self._state
        if state == "osc":  # a title or another string, up to BEL or ESC \
            if character in "\x07\x9c" or self._text.endswith("\x1b"):
                body = self._text.rstrip("\x1b")
                if body[:2] in ("0;", "2;"):
                    self.title = body[2:]
                self._state = ""
            elif len(self._text) < SEQUENCE:
                self._text += character
            return
        if character in "\x18\x1a":
            self._state = ""
        elif character < " ":
            self._control(character)
        elif state == "csi":
            if "@" <= character <= "~":
                self._state = ""
                self._sequence(self._text, character)
            elif len(self._text) < SEQUENCE:
                self._text += character
        elif state in "()":
            self._graphics[state == ")"] = character == "0"
            self._state = ""
        elif state == "skip":
            self._state = ""
        else:
            self._state = ""
            self._escape(character)

    def _escape(self, character: str) -> None:
        if character == "[":
            self._state, self._text = "csi", ""
        elif character in "]PX^_":
            self._state, self._text = "osc", ""
        elif character in "()":
            self._state = character
        elif character in "*+#% ":
            self._state = "skip"
        elif character == "7":
            self._saved = self.x, self.y
        elif character == "8":
            self.x, self.y = min(self._saved[0], self.width - 1), min(self._saved[1], self.height - 1)
        elif character == "D":
            self._down()
        elif character == "M":
            self._up()
        elif character == "E":
            self.x = 0
            self._down()
        elif character == "c":
            self._reset()

    def _sequence(self, text: str, final: str) -> None:
        private = text[:1] in "?>=<!" and text[:1] != ""
        numbers = [int(part) if part.isdigit() and len(part) < 6 else 0 for part in text.lstrip("?>=<!").split(";")]
        if private:
            if final in "hl" and text[0] == "?":
                for number in numbers:
                    self._private(number, final == "h")
            return
        n = max(1, numbers[0])
        second = numbers[1] if len(numbers) > 1 else 0
        moves = {"A": (0, -n), "B": (0, n), "C": (n, 0), "D": (-n, 0), "e": (0, n), "a": (n, 0)}
        if final in moves:
            self._move(self.x + moves[final][0], self.y + moves[final][1])
        elif final in "EF":
            self._move(0, self.y + (n if final == "E" else -n))
        elif final in "Hf":
            self._move(max(1, second) - 1, n - 1)
        elif final in "G`":
            self._move(n - 1, self.y)
        elif final == "d":
            self._move(self.x, n - 1)
        elif final in "JK":
            self._erase(numbers[0], final == "J")
        elif final in "LMSTP@X":
            self._shift_cells(final, min(n, max(self.width, self.height)))
        elif final == "r":
            top, bottom = n - 1, (second or self.height) - 1
            if top < bottom < self.height:
                self.top, self.bottom = top, bottom
                self._move(0, 0)
        elif final in "hl" and 4 in numbers:
            self.insert = final == "h"
        elif final == "s":
            self._saved = self.x, self.y
        elif final == "u":
            self._move(*self._saved)

    def _move(self, x: int, y: int) -> None:
        self._pending = False
        self.x, self.y = min(max(x, 0), self.width - 1), min(max(y, 0), self.height - 1)

    def _private(self, number: int, on: bool) -> None:
        if number == 7:
            self.wrap = on
        elif number in (47, 1047, 1049):
            if on and self._other is None:
                self._other, self.cells = self.cells, [[" "] * self.width for _ in range(self.height)]
                self._saved = (self.x, self.y) if number == 1049 else self._saved
            elif not on and self._other is not None:
                width, height = self.width, self.height
                self.cells, self._other = self._other, None
                self.resize(width, height)
                if number == 1049:
                    self._move(*self._saved)

    def _erase(self, kind: int, display: bool) -> None:
        row, self._pending = self.cells[self.y], False
        if kind == 0:
            row[self.x :] = [" "] * (self.width - self.x)
        elif kind == 1:
            row[: self.x + 1] = [" "] * (self.x + 1)
        else:
            row[:] = [" "] * self.width
        if display:
            for y in {0: range(self.y + 1, self.height), 1: range(self.y)}.get(kind, range(self.height)):
                self.cells[y] = [" "] * self.width

    def _shift_cells(self, final: str, n: int) -> None:
        row = self.cells[self.y]
        if final in "LM" and self.top <= self.y <= self.bottom:
            self._scroll(n if final == "M" else -n, self.y)
        elif final in "ST":
            self._scroll(n if final == "S" else -n)
        elif final == "P":
            del row[self.x : self.x + n]
            row += [" "] * (self.width - len(row))
        elif final == "@":
            row[self.x : self.x] = [" "] * n
            del row[self.width :]
        elif final == "X":
            n = min(n, self.width - self.x)
            row[self.x : self.x + n] = [" "] * n
