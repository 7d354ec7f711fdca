"""Reads the numbers of H.264 and H.265 headers bit by bit."""

from __future__ import annotations


class VideoDamageError(ValueError):
    """The data of a message of video are damaged, or frames before it are missing."""


class BitReader:
    """Reads numbers from the first bit on; reading beyond the end raises VideoDamageError."""

    def __init__(self, payload: bytes) -> None:
        """Create a reader at the first bit.

        Args:
            payload: A NAL unit without its header. Its emulation prevention bytes are removed (ITU-T H.264, 7.4.1).
        """
        raw = payload.replace(b"\0\0\3", b"\0\0")
        self._bits = int.from_bytes(raw)
        self._left = 8 * len(raw)

    def bits(self, count: int) -> int:
        """The next bits as a number, u(n)."""
        self._left -= count
        if self._left < 0:
            raise VideoDamageError("a header of it is cut off")
        return (self._bits >> self._left) & ((1 << count) - 1)

    def unsigned(self) -> int:
        """The next Exp-Golomb code, ue(v) (ITU-T H.264, 9.1)."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > 32:
                raise VideoDamageError("a header of it is damaged")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """The next signed Exp-Golomb code, se(v)."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)
