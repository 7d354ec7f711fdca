"""The tokenizer of the rooms model: Qwen2's kind of byte-pair encoding, learnt from the rooms' own sentences."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from llava_ov_ros.rooms.room_questions import NUMBERS, questions
from llava_ov_ros.rooms.takes import make_take
from llava_ov_ros.rooms.world import COLOURS, KINDS, RECEPTACLES

IM_START, IM_END, END_OF_TEXT, IMAGE, VIDEO = "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<image>", "<video>"
SPECIAL = (END_OF_TEXT, IM_START, IM_END, IMAGE, VIDEO)
VOCABULARY = 1024
TAKES = 6000
WORDS_REPEATED = 50
# A word of the world is one token both at the beginning of a text and within it.
WORDS = (*KINDS, *COLOURS, *RECEPTACLES, *NUMBERS)
# Control turns and cameras' names as the node writes them.
FRAME_WORDS = "system\nYou are a helpful assistant.", "user\n", "assistant\n", "front", "left", "right", "camera"


def sentences(takes: int = TAKES) -> Iterator[str]:
    """What the model reads and says: questions and answers about seeded takes, and the words by themselves."""
    for seed in range(takes):
        rng = Random(seed)
        take = make_take(rng, rng.choice((1, 4)), combinations="all")
        for question in questions(take, rng, each=2):
            yield f"\n{question.text}"
            yield question.gold
    for word in (*WORDS, *FRAME_WORDS):
        yield from (f" {word}", f"\n{word}", word) * WORDS_REPEATED


def build_tokenizer(takes: int = TAKES) -> Tokenizer:
    """The tokenizer; the same every time."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
        min_frequency=20,
    )
    tokenizer.train_from_iterator(sentences(takes), trainer)
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def tokenizer_config() -> dict[str, Any]:
    """What transformers needs beside tokenizer.json."""
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "bos_token": None,
        "eos_token": IM_END,
        "pad_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "extra_special_tokens": {"image_token": IMAGE, "video_token": VIDEO},
        "clean_up_tokenization_spaces": False,
        "model_max_length": 4096,
    }
