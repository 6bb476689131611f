"""A CLAP model by its files: what is known before its weights are read, and its two towers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from trichord.embedders.backend import Runtime
from trichord.embedders.clap import files, laion, towers
from trichord.embedders.clap.converter import config as config_of
from trichord.embedders.clap.converter import converted
from trichord.embedders.clap.frontend import FrontEnd
from trichord.embedders.clap.tokens import Tokens, Vocabulary
from trichord.embedders.clap.towers import (
    AudioTower,
    ClapAudioTower,
    ClapTextTower,
    TextTower,
)
from trichord.embedders.hashing import sha256_of
from trichord.errors import ModelError

ROBERTA = ("FacebookAI/roberta-base", "roberta-base")
"""The tokenizer of LAION's files, by the hub's present and former name."""


class Source(Protocol):
    """`name` says the architecture, `weights` is the sha256 of the weight files, `sizes` are the
    settings of either tower that its weights do not show."""

    @property
    def name(self) -> str: ...
    @property
    def weights(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def sizes(self) -> Mapping[str, Any]: ...
    @property
    def front(self) -> FrontEnd: ...
    @property
    def tokens(self) -> Tokens: ...
    def audio_tower(self) -> AudioTower: ...
    def text_tower(self) -> TextTower: ...


class FolderSource:
    """A transformers checkpoint: config.json, the extractor's settings, a tokenizer, weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stored = files.read_json(folder / "config.json")
        kind = stored.get("model_type")
        if kind != "clap":
            raise ModelError(f"{folder} holds a model of type {kind!r}, not CLAP", path=folder)
        self._config = towers.configuration(stored, str(folder / "config.json"))
        audio, text = self._config.audio_config, self._config.text_config
        self.front = FrontEnd.of_extractor(files.sound_settings(folder))
        if self.front.mels != audio.num_mel_bins:
            raise ModelError(
                f"{folder} makes {self.front.mels} mel bands, its model takes {audio.num_mel_bins}"
            )
        fused = bool(audio.enable_fusion)
        if fused != (self.front.bank == "htk"):
            raise ModelError(
                f"the sound settings in {folder} are those of a model "
                f"{'without' if fused else 'with'} fusion, its config.json says otherwise"
            )
        # The spectrogram is folded to a square; transformers fails late and darkly on longer ones.
        if self.front.frames > audio.spec_size * (audio.spec_size // audio.num_mel_bins):
            raise ModelError(
                f"{folder}: {self.front.seconds} s make more frames than its model takes"
            )
        self.name = laion.architecture(audio.patch_embeds_hidden_size, audio.depths)
        self.name += "-fused" if fused else ""
        self.dim = int(self._config.projection_dim)
        self.sizes = _sizes(self._config)
        self._weight_names = files.weight_names(folder)
        self.weights = files.weights_sha256(folder, self._weight_names)
        self.tokens = Tokens(
            folder, Vocabulary(text.vocab_size, text.pad_token_id, text.max_position_embeddings)
        )

    def _model(self) -> Any:
        pickled = self._weight_names[0].endswith(".bin")
        return towers.from_folder(self.folder, pickled=pickled)

    def audio_tower(self) -> AudioTower:
        return ClapAudioTower(self._model())

    def text_tower(self) -> TextTower:
        return ClapTextTower(self._model())


class LaionSource:
    """LAION's `.pt` file, converted to transformers' model; the tokenizer may lie elsewhere."""

    front = FrontEnd()

    def __init__(self, path: Path, tokenizer: Path) -> None:
        self.path = path
        self.shape = laion.describe(laion.read(path), path)
        if self.shape.mels != self.front.mels:
            raise ModelError(f"{path} takes {self.shape.mels} mel bands, not {self.front.mels}")
        self.name = self.shape.name
        self.dim = self.shape.dim
        self.sizes = _sizes(towers.configuration(config_of(self.shape)))
        self.weights = sha256_of(path)
        self.tokens = Tokens(
            tokenizer, Vocabulary(self.shape.vocabulary, laion.ROBERTA_PAD, self.shape.positions)
        )

    def state(self) -> dict[str, Any]:
        """LAION's weights, its mel filters checked; raises ModelError."""
        state = laion.read(self.path)
        laion.check_filters(state, self.front, self.path)
        return state

    def _model(self) -> Any:
        return towers.from_state(config_of(self.shape), converted(self.state()), str(self.path))

    def audio_tower(self) -> AudioTower:
        return ClapAudioTower(self._model())

    def text_tower(self) -> TextTower:
        return ClapTextTower(self._model())


class PackageSource(LaionSource):
    """LAION's `.pt` file, run by the laion-clap package itself; both towers share one model."""

    def __init__(self, path: Path, tokenizer: Path) -> None:
        from trichord.embedders.clap import package

        package.require()
        super().__init__(path, tokenizer)

    @cached_property
    def _module(self) -> Any:
        from trichord.embedders.clap import package

        return package.build(self.shape, self.state(), str(self.path))

    def audio_tower(self) -> AudioTower:
        from trichord.embedders.clap import package

        return package.PackageAudioTower(self._module)

    def text_tower(self) -> TextTower:
        from trichord.embedders.clap import package

        return package.PackageTextTower(self._module)


_AUDIO_SIZES = (
    "depths", "num_attention_heads", "window_size", "spec_size", "patch_size", "patch_stride",
    "hidden_act", "layer_norm_eps", "projection_hidden_act", "enable_fusion", "fusion_type",
)  # fmt: skip
_TEXT_SIZES = (
    "num_hidden_layers", "num_attention_heads", "hidden_act", "layer_norm_eps", "pad_token_id",
    "projection_hidden_act",
)  # fmt: skip


def _sizes(config: Any) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

    return {
        "audio": {name: plain(getattr(config.audio_config, name)) for name in _AUDIO_SIZES},
        "text": {name: plain(getattr(config.text_config, name)) for name in _TEXT_SIZES},
    }


def tokenizer_folder(given: str | None, checkpoint: Path, runtime: Runtime) -> Path:
    """The folder of roberta-base's tokenizer for a LAION file: the one given (a folder or a hub
    id), else the checkpoint's own if a tokenizer lies beside it, else roberta-base from the hub's
    cache or the hub. Raises ModelError when it is nowhere."""
    if given is not None:
        if files.is_local(given):
            folder = Path(given).expanduser()
            if not folder.is_dir():
                raise ModelError(f"there is no folder {folder} with a tokenizer", path=folder)
            return folder
        return files.fetch(given, None, runtime, (*files.TOKENIZER, "config.json"))
    beside = checkpoint.parent
    if (beside / "tokenizer.json").is_file() or (beside / "vocab.json").is_file():
        return beside
    cached = Runtime(offline=True, cache=runtime.cache)
    for repository in ROBERTA:
        try:
            folder = files.fetch(repository, None, cached, (*files.TOKENIZER, "config.json"))
            files.tokenizer_sha256(folder)  # the cache may hold the weights only
            return folder
        except ModelError:
            continue
    if runtime.offline:
        raise ModelError(
            "the tokenizer of LAION's files, roberta-base, is not in the hub's cache and the hub "
            f"may not be asked. Put its tokenizer.json beside {checkpoint.name}, give its folder "
            "as the option tokenizer, or fetch it with network: trichord space add NAME"
        )
    return files.fetch(ROBERTA[0], None, runtime, (*files.TOKENIZER, "config.json"))
