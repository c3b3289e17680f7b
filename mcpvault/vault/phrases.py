"""
A key as words that a person can write down, read out and type: eighteen of five letters, the last two a checksum.

They say the same 36 bytes as ``mvk1-`` text, sixteen bits a word, consonants and vowels in turn, so that no list of
words is needed.

Spec: SPEC §7.1.
"""

from __future__ import annotations

import re

_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aiou"
_WORD = rf"[{_CONSONANTS}][{_VOWELS}][{_CONSONANTS}][{_VOWELS}][{_CONSONANTS}]"
_WORDS = 18
_SHAPE = ((_CONSONANTS, 12), (_VOWELS, 10), (_CONSONANTS, 6), (_VOWELS, 4), (_CONSONANTS, 0))  # letters, shift


def words(data: bytes) -> str:
    """Return the words of 36 bytes, single spaces between."""
    numbers = (int.from_bytes(data[at : at + 2], "big") for at in range(0, 2 * _WORDS, 2))
    return " ".join("".join(letters[n >> shift & len(letters) - 1] for letters, shift in _SHAPE) for n in numbers)


def spoken(text: str) -> bytes | None:
    """Return the 36 bytes of a phrase, however it is spaced and capitalised, or None if it is none."""
    said = re.split(r"[\s,-]+", text.strip().lower())
    if len(said) != _WORDS or not all(re.fullmatch(_WORD, word) for word in said):
        return None
    return b"".join(_number(word).to_bytes(2, "big") for word in said)


def _number(word: str) -> int:
    return sum(letters.index(letter) << shift for letter, (letters, shift) in zip(word, _SHAPE, strict=True))
