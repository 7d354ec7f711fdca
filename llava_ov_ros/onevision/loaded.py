"""A loaded model together with its caches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .cache_sizes import cache_sizes
from .checkpoint import Checkpoint
from .engine_settings import EngineSettings
from .feature_cache import FeatureCache
from .grammar import Grammars
from .graphs import Graphs
from .language import LanguageModel, taken_bytes
from .modules import OneVision
from .prefix_store import PrefixStore
from .prompt_parts import PromptParts
from .steps import StaticSteps
from .tower import tower_bytes
from .visual import VisualEncoder


@dataclass(eq=False)
class Loaded:
    """A model with the caches of its visual tokens, prefixes, decode steps and grammars.

    Attributes:
        checkpoint: The model, its tokenizer and its rules.
        features: Cache of frames' visual tokens.
        visual: Encodes frames to visual tokens.
        parts: Builds prompts.
        prefixes: Cache of prefixes' keys and values.
        static_steps: Runs decode steps in fixed shapes, as graphs on CUDA; None runs each in the shape of the batch.
        grammars: Compiles grammars to hooks that constrain answers.
    """

    checkpoint: Checkpoint
    features: FeatureCache
    visual: VisualEncoder
    parts: PromptParts
    prefixes: PrefixStore
    static_steps: StaticSteps | None
    grammars: Grammars
    _twin: Any = None

    def transformers_model(self) -> Any:
        """A LlavaOnevisionForConditionalGeneration with the same weights; the first call makes it."""
        if self._twin is None:
            model = self.checkpoint.model
            self.checkpoint.fill_modules()
            if isinstance(model, OneVision):
                from .of_transformers import twin

                model = twin(model)
            self._twin = model
        return self._twin

    @property
    def language(self) -> LanguageModel:
        """The language model's weights as plain tensors."""
        return self.checkpoint.language

    @property
    def nbytes(self) -> int:
        """Bytes of weights, tables, caches and buffers."""
        parameters = self.checkpoint.model.parameters()
        weights = {tensor.data_ptr(): tensor.nbytes for tensor in parameters if not tensor.is_meta}
        steps = 0 if self.static_steps is None else self.static_steps.nbytes
        tower = 0 if self.checkpoint.tower is None else tower_bytes(self.checkpoint.tower)
        tables = self.language.cos.nbytes + self.language.sin.nbytes
        return int(
            sum(weights.values())
            + taken_bytes(self.language)
            + tower
            + tables
            + self.features.nbytes
            + self.prefixes.nbytes
            + steps
        )


def with_caches(checkpoint: Checkpoint, settings: EngineSettings) -> Loaded:
    """The model with empty caches, whose sizes are those of the settings, or follow from the clips there."""
    language = checkpoint.language
    embedding = language.embedding
    device, sizes = embedding.device, cache_sizes(checkpoint.model.config, embedding.itemsize, settings)
    features = FeatureCache(sizes.features)
    visual = VisualEncoder(checkpoint.model, checkpoint.tower, features, settings.tiles_at_once(device))
    capture = Graphs(device).capture if device.type == "cuda" else None
    return Loaded(
        checkpoint,
        features,
        visual,
        PromptParts(checkpoint, visual, language.context),
        PrefixStore(language, sizes.prefixes),
        StaticSteps(language, settings.step_bytes, capture) if settings.has_fixed_steps(device) else None,
        Grammars(checkpoint.tokenizer, language.vocabulary, checkpoint.end_ids),
    )
