"""What the configuration of a sentence-transformers folder says, without loading the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trichord.errors import ModelError
from trichord.types import Modality, Role

WINDOW_MS = 10_000
_LARGEST_MAX_TOKENS = 1_000_000
"""Tokenizers without a limit say numbers like 10^30."""

_KEEP_DIMENSION = {"Normalize", "Dropout", "LayerNorm", "WordWeights"}
_OWN = "sentence_transformers."
_LEGACY_SENTENCE_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


@dataclass(frozen=True)
class Description:
    """None where the configuration does not say it and the loaded model has to be asked.

    `dim` before any truncation; `text_folder` holds the tokenizer; `audio_rate` in Hz;
    `longest_ms` what the feature extractor takes without cropping at random; `tasks` whether the
    model routes by the role of a text; `wrapped` whether texts must be given as {"text": …}.
    """

    modalities: frozenset[Modality] | None = None
    dim: int | None = None
    max_tokens: int | None = None
    text_folder: Path | None = None
    image_side: int | None = None
    audio_rate: int | None = None
    longest_ms: int | None = None
    tasks: bool = True
    wrapped: bool = True
    own_code: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)

    def prompt(self, role: Role) -> str:
        """The text that encode_query and encode_document put before each input. Both always have
        a prompt of their own name, empty where the configuration has none; so neither another
        name ("passage") nor the default prompt is ever taken."""
        return self.prompts.get(str(role), "")


def describe(folder: Path) -> Description:
    """Reads modules.json and the configuration of the modules; raises ModelError if damaged."""
    modules = _read(folder / "modules.json")
    if not isinstance(modules, list) or not modules:
        raise ModelError(f"{folder / 'modules.json'} names no modules")
    kinds = [str(module.get("type", "")) for module in modules]
    places = [folder / str(module.get("path", "")) for module in modules]
    about = _input_module(kinds[0], places[0])
    own_code = [kind for kind in kinds if not kind.startswith(_OWN)]
    config = _read(folder / "config_sentence_transformers.json", missing={})
    prompts = {name: text for name, text in config.get("prompts", {}).items() if text is not None}
    return Description(
        modalities=about.modalities,
        dim=_dimension(kinds, places),
        max_tokens=about.max_tokens,
        text_folder=about.text_folder,
        image_side=about.image_side,
        audio_rate=about.audio_rate,
        longest_ms=about.longest_ms,
        tasks=about.tasks,
        wrapped=about.wrapped,
        own_code=tuple(dict.fromkeys([*own_code, *about.own_code])),
        prompts=prompts,
    )


def _input_module(kind: str, folder: Path) -> Description:
    name = kind.rpartition(".")[2]
    if not kind.startswith(_OWN):
        return Description()
    if name == "Router" or name == "Asym":
        return _router(folder)
    if name in ("Transformer", "CLIPModel", "MLMTransformer"):
        return _transformer(folder, clip=name == "CLIPModel")
    # Bags of words, static embeddings: text only, which nobody takes for anything else.
    return Description(
        modalities=frozenset({Modality.TEXT}),
        max_tokens=_LARGEST_MAX_TOKENS,
        text_folder=folder,
        wrapped=False,
    )


def _transformer(folder: Path, *, clip: bool) -> Description:
    sentence: Mapping[str, Any] = next(
        (found for n in _LEGACY_SENTENCE_CONFIGS if (found := _read(folder / n, missing={}))), {}
    )
    stated = sentence.get("modality_config")
    if stated is None:
        modalities = {Modality.TEXT, Modality.IMAGE} if clip else {Modality.TEXT}
    else:
        modalities = {Modality(name) for name in stated if name in set(Modality)}
    config = _read(folder / "config.json", missing={})
    picture, sound = _processors(folder)
    rate = sound.get("sampling_rate")
    return Description(
        modalities=frozenset(modalities),
        max_tokens=_max_tokens(folder, sentence, config) if Modality.TEXT in modalities else None,
        text_folder=folder if Modality.TEXT in modalities else None,
        image_side=_side(picture) if Modality.IMAGE in modalities else None,
        audio_rate=int(rate) if rate and Modality.AUDIO in modalities else None,
        longest_ms=_longest_ms(sound),
    )


def _router(folder: Path) -> Description:
    """The union of its routes; of two routes for one modality, the first says the rest."""
    config = _read(folder / "router_config.json", missing=None) or _read(folder / "config.json")
    types: Mapping[str, str] = config["types"]
    parameters = config.get("parameters", {})
    routes = {
        route: (_input_module(types[ids[0]], folder / ids[0]), types[ids[0]])
        for route, ids in config["structure"].items()
    }
    modalities: set[Modality] = set()
    known = True
    for route, (about, _) in routes.items():
        if route in set(Modality):
            modalities.add(Modality(route))
        elif about.modalities is not None:
            modalities |= about.modalities
        else:
            known = False
    named = [*routes, *parameters.get("route_mappings", {})]
    found = [about for about, _ in routes.values()]
    own = [kind for kind in types.values() if not kind.startswith(_OWN)]

    def first(name: str, route: str) -> Any:
        chosen = routes.get(route)
        ordered = ([chosen[0]] if chosen else []) + found
        return next((v for about in ordered if (v := getattr(about, name)) is not None), None)

    return Description(
        modalities=frozenset(modalities) if known else None,
        max_tokens=first("max_tokens", "text"),
        text_folder=first("text_folder", "text"),
        image_side=first("image_side", "image"),
        audio_rate=first("audio_rate", "audio"),
        longest_ms=first("longest_ms", "audio"),
        tasks=any(task in name for name in named for task in ("query", "document")),
        wrapped=any(about.wrapped for about in found) or len(modalities) > 1,
        own_code=tuple(dict.fromkeys(own)),
    )


def _dimension(kinds: list[str], places: list[Path]) -> int | None:
    for kind, folder in zip(reversed(kinds), reversed(places), strict=True):
        name = kind.rpartition(".")[2]
        if not kind.startswith(_OWN):
            return None
        if name in _KEEP_DIMENSION:
            continue
        config = _read(folder / "config.json", missing={})
        if name == "Dense":
            return int(config["out_features"])
        if name == "Pooling":
            return _pooled(config)
        if name in ("Router", "Asym"):
            routes = _read(folder / "router_config.json", missing=None) or config
            ids = next(iter(routes["structure"].values()))
            return _dimension([routes["types"][i] for i in ids], [folder / i for i in ids])
        sentence = _read(folder / "sentence_bert_config.json", missing={})
        whole = name == "CLIPModel" or sentence.get("module_output_name") == "sentence_embedding"
        if whole and isinstance(config.get("projection_dim"), int):
            return int(config["projection_dim"])
        return None
    return None


def _pooled(config: Mapping[str, Any]) -> int | None:
    width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    if not isinstance(width, int):
        return None
    stated = config.get("pooling_mode")
    if stated is None:
        modes = sum(bool(on) for name, on in config.items() if name.startswith("pooling_mode_"))
    else:
        modes = 1 if isinstance(stated, str) else len(stated)
    return width * max(1, modes)


def _max_tokens(folder: Path, sentence: Mapping[str, Any], config: Mapping[str, Any]) -> int | None:
    tokenizer = _read(folder / "tokenizer_config.json", missing={})
    inner = config.get("text_config")
    text = inner if isinstance(inner, dict) else config
    found = [
        int(value)
        for value in (
            sentence.get("max_seq_length"),
            tokenizer.get("model_max_length"),
            text.get("max_position_embeddings"),
        )
        if isinstance(value, int | float) and 0 < value < _LARGEST_MAX_TOKENS
    ]
    return min(found, default=None)


def _processors(folder: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Configuration of the image processor and of the feature extractor, in either of the two
    forms in which transformers keeps them."""
    both = _read(folder / "processor_config.json", missing={})
    flat = _read(folder / "preprocessor_config.json", missing={})
    picture = both.get("image_processor") or flat
    sound = both.get("feature_extractor") or both.get("audio_processor") or flat
    return picture, sound


def _side(config: Mapping[str, Any]) -> int | None:
    for name in ("crop_size", "size"):
        if name == "crop_size" and config.get("do_center_crop") is False:
            continue
        size = config.get(name)
        if isinstance(size, int):
            return size
        if isinstance(size, dict):
            sides = [size[side] for side in ("height", "width", "shortest_edge") if side in size]
            if sides and all(isinstance(side, int) for side in sides):
                return int(max(sides))
    return None


def _longest_ms(config: Mapping[str, Any]) -> int | None:
    for name in ("max_length_s", "chunk_length"):
        seconds = config.get(name)
        if isinstance(seconds, int | float) and seconds > 0:
            return int(seconds * 1000)
    return None


def _read(path: Path, missing: Any = ...) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if missing is not ...:
            return missing
        raise ModelError(f"{path} is missing: download the model again") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
