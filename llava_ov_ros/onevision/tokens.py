"""Encodes prompt segments as token ids, and decodes token ids to text without breaking a character."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tokenizers import Tokenizer

from ..bounds import shown
from .prompt import Control, Ids, Segment, Text

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class PromptTokenizer:
    """Encodes text as token ids and decodes them; only the prompt template can make special tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # Special tokens inside a text are encoded like any other text; the template's own go by their ids.
        self._tokenizer.encode_special_tokens = True
        # A file saved by training code may contain the truncation and padding of its last call, which transformers
        # resets at every call, or a dropout.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if getattr(self._tokenizer.model, "dropout", None) is not None:
            self._tokenizer.model.dropout = None

    @classmethod
    def from_file(cls, file: Path) -> Self:
        """Read a `tokenizer.json`.

        Raises:
            ValueError: The file cannot be read as a tokenizer.
        """
        try:
            return cls(Tokenizer.from_file(str(file)))
        except Exception as error:  # noqa: BLE001 - tokenizers raises plain Exceptions
            raise ValueError(f"{file} cannot be read: {shown(str(error))}") from None

    @property
    def json(self) -> str:
        """The tokenizer as the content of a `tokenizer.json`."""
        text: str = self._tokenizer.to_str()
        return text

    @property
    def greatest_id(self) -> int:
        """The greatest token id of the vocabulary, added tokens included; -1 if the vocabulary is empty."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)

    def control_id(self, token: str) -> int | None:
        """Id of a special token, or None if the vocabulary lacks it."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def encode(self, segments: Sequence[Segment]) -> list[int | None]:
        """Token ids of a prompt, with None in the place of each visual item.

        Raises:
            KeyError: The template needs a special token that the vocabulary lacks.
        """
        ids: list[int | None] = []
        for segment in segments:
            if isinstance(segment, Text):
                ids += self.encode_text(segment.text)
            elif isinstance(segment, Control):
                control = self.control_id(segment.token)
                if control is None:
                    raise KeyError(f"the tokenizer has no token {segment.token!r}")
                ids.append(control)
            elif isinstance(segment, Ids):
                ids += segment.tokens
            else:
                ids.append(None)
        return ids

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a text by itself."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens, without special tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text


class TextStream:
    """Decodes tokens to pieces of text one by one; a character of several tokens appears when it is complete.

    Attributes:
        text: All pieces so far, joined.
    """

    def __init__(self, tokenizer: PromptTokenizer) -> None:
        self._tokenizer = tokenizer
        # Tokens since the last one that ended a character, and the number of their characters already returned.
        self._pending: list[int] = []
        self._given = 0
        self.text = ""

    def push(self, token: int) -> str:
        """Add a token, and return the characters that it completes; may be empty."""
        self._pending.append(token)
        found = self._tokenizer.decode(self._pending)
        # A token may end one character and begin the next. Bytes that form no character are decoded one by one, so
        # only a REPLACEMENT at the very end may still become a character.
        whole = found.removesuffix(REPLACEMENT)
        piece = whole[self._given :]
        self._given = len(whole)
        if whole == found:
            self._pending.clear()
            self._given = 0
        self.text += piece
        return piece
