"""The two encoders of the duet model, each ending in 256 unit numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from trichord.embedders.duet.preprocessing import BUCKETS, DIM, MAX_WORDS, MELS
from trichord.embedders.duet.words import grams

_BUCKET = 64
_WIDTH = 160
_HEADS = 4
_HIDDEN = 384


class _Block(nn.Module):
    """Attention and a feed-forward layer, both behind a norm, both added."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.qkv, self.out = nn.Linear(_WIDTH, 3 * _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        self.up, self.down = nn.Linear(_WIDTH, 2 * _WIDTH), nn.Linear(2 * _WIDTH, _WIDTH)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n, words, _ = x.shape
        parts = self.qkv(self.norm_1(x)).view(n, words, 3, _HEADS, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(
            parts[0], parts[1], parts[2], attn_mask=mask[:, None, None]
        )
        x = x + self.out(seen.transpose(1, 2).reshape(n, words, -1))
        wide = nn.functional.gelu(self.up(self.norm_2(x)))
        return x + self.down(wide)  # type: ignore[no-any-return]


class TextTower(nn.Module):
    """Token lists -> unit rows (n, 256): hashed n-grams, two transformer blocks, mean."""

    def __init__(self) -> None:
        super().__init__()
        self.buckets = nn.EmbeddingBag(BUCKETS, _BUCKET, mode="mean")
        self.widen = nn.Linear(_BUCKET, _WIDTH)
        self.place = nn.Parameter(0.02 * torch.randn(MAX_WORDS, _WIDTH))
        self.drop = nn.Dropout(0.1)
        self.blocks = nn.ModuleList([_Block(), _Block()])
        self.norm = nn.LayerNorm(_WIDTH)
        self.project = nn.Linear(_WIDTH, DIM)

    def forward(self, texts: Sequence[Sequence[str]]) -> torch.Tensor:
        unique = {word: k for k, word in enumerate(dict.fromkeys(w for t in texts for w in t))}
        pieces = [grams(word) for word in unique]
        starts = torch.tensor([0, *map(len, pieces)]).cumsum(0)[:-1]
        table = self.buckets(torch.tensor([g for p in pieces for g in p]), starts)
        longest = max(map(len, texts))
        rows = [[unique[w] for w in t] + [-1] * (longest - len(t)) for t in texts]
        index = torch.tensor(rows)
        mask = index >= 0
        x = self.widen(self.drop(table))[index.clamp(min=0)] + self.place[:longest]
        for block in self.blocks:
            x = block(x, mask)
        weight = mask.unsqueeze(2).float()
        mean = (self.norm(x) * weight).sum(1) / weight.sum(1)
        return nn.functional.normalize(self.project(mean).float(), dim=1)


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels, 3, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.silu(x + self.norm(self.second(self.first(x))))


class AudioTower(nn.Module):
    """float32 (n, 1, 48, frames) -> unit rows (n, 256).

    Time is pooled to a mean weighted by attention and the spread around it (attentive statistics,
    K. Okabe et al., 2018), so any length will do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(1, 24, 5, 2),
            _conv(24, 40, 3, 2),
            _Residual(40),
            _conv(40, 80, 3, 2),
            _Residual(80),
            _conv(80, 144, 3, 2),
        )
        self.squeeze = _conv(144, 64, 1, 1)
        rows = 144 + 64 * (MELS // 16)
        self.attend = nn.Sequential(nn.Conv1d(rows, 64, 1), nn.Tanh(), nn.Conv1d(64, rows, 1))
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * rows), nn.Linear(2 * rows, _HIDDEN), nn.BatchNorm1d(_HIDDEN)
        )
        self.project = nn.Linear(_HIDDEN, DIM)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 384), before the projection."""
        grid = self.body(x)  # (n, 144, 3, frames / 16)
        rows = torch.cat([grid.mean(2), self.squeeze(grid).flatten(1, 2)], dim=1).float()
        weight = self.attend(rows).float().softmax(2)
        mean = (rows * weight).sum(2)
        spread = ((rows - mean.unsqueeze(2)).square() * weight).sum(2).add(1e-5).sqrt()
        return nn.functional.silu(self.head(torch.cat([mean, spread], dim=1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.project(self.features(x)).float(), dim=1)
