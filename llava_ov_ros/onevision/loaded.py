"""A loaded model together with everything that an engine keeps of its work."""

from __future__ import annotations

from dataclasses import dataclass

from .checkpoint import Checkpoint
from .engine_settings import EngineSettings
from .feature_cache import FeatureCache
from .grammar import Grammars
from .graphs import Graphs
from .language import LanguageModel, language_model
from .prefix_store import PrefixStore
from .prompt_parts import PromptParts
from .steps import StaticSteps
from .visual import VisualEncoder


@dataclass(eq=False)
class Loaded:
    """A model and what is kept of its work.

    Attributes:
        checkpoint: The model, its tokenizer and its rules.
        language: The language model's weights as plain tensors.
        features: Visual tokens of frames.
        visual: Makes visual tokens of frames.
        parts: Makes prompts.
        prefixes: Keys and values of prompts' beginnings.
        static_steps: Runs steps in fixed shapes, as graphs on CUDA; None: in whatever shape there is.
        grammars: Makes hooks that hold answers to a grammar.
    """

    checkpoint: Checkpoint
    language: LanguageModel
    features: FeatureCache
    visual: VisualEncoder
    parts: PromptParts
    prefixes: PrefixStore
    static_steps: StaticSteps | None
    grammars: Grammars

    @property
    def nbytes(self) -> int:
        """Bytes of weights, tables, caches and buffers."""
        weights = {tensor.data_ptr(): tensor.nbytes for tensor in self.checkpoint.model.parameters()}
        steps = 0 if self.static_steps is None else self.static_steps.nbytes
        tables = self.language.cos.nbytes + self.language.sin.nbytes
        return int(sum(weights.values()) + tables + self.features.nbytes + self.prefixes.nbytes + steps)


def with_caches(checkpoint: Checkpoint, settings: EngineSettings) -> Loaded:
    """A model with empty caches of the settings' sizes."""
    device = checkpoint.model.lm_head.weight.device
    language = language_model(checkpoint.model)
    features = FeatureCache(settings.feature_bytes)
    visual = VisualEncoder(checkpoint.model, features, settings.tiles_at_once(device))
    capture = Graphs(device).capture if device.type == "cuda" else None
    return Loaded(
        checkpoint,
        language,
        features,
        visual,
        PromptParts(checkpoint, visual, language.context),
        PrefixStore(language, settings.prefix_bytes),
        StaticSteps(language, settings.step_bytes, capture) if settings.has_fixed_steps(device) else None,
        Grammars(checkpoint.tokenizer, language.head.shape[0], checkpoint.end_ids),
    )
