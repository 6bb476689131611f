"""The two encoders: small residual convolution networks that end in 384 unit numbers."""

from __future__ import annotations

import torch
from torch import nn

DIM = 384
HIDDEN = 512


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.norm(self.second(self.first(x))))


class _Head(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.BatchNorm1d(inputs), nn.Linear(inputs, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU()
        )
        self.project = nn.Linear(HIDDEN, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(x)  # type: ignore[no-any-return]


class Tower(nn.Module):
    """`features` gives (n, 512), `forward` unit rows (n, 384)."""

    head: _Head

    def features(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def project(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.head.project(features).float(), dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(self.features(x))


class ImageTower(Tower):
    """float32 (n, 3, 72, 72) in [-1, 1]. A grid of 5 x 5 reaches the head, so places survive."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(3, 32, 3, 2),
            _conv(32, 48, 3, 2),
            _Residual(48),
            _conv(48, 96, 3, 2),
            _Residual(96),
            _Residual(96),
            _conv(96, 192, 3, 2),
            _Residual(192),
        )
        self.squeeze = _conv(192, 32, 1)
        self.head = _Head(192 + 32 * 25)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        grid = self.body(x)
        pooled = torch.cat([grid.mean((2, 3)), self.squeeze(grid).flatten(1)], dim=1)
        return self.head(pooled)  # type: ignore[no-any-return]


class AudioTower(Tower):
    """float32 (n, 1, 64, frames). Mean and spread over time, so that any length will do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(1, 24, 5, 2),
            _conv(24, 48, 3, 2),
            _Residual(48),
            _conv(48, 96, 3, 2),
            _Residual(96),
            _conv(96, 160, 3, 2),
            _Residual(160),
        )
        self.squeeze = _conv(160, 64, 1)
        self.head = _Head(2 * (160 + 64 * 4))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        grid = self.body(x)  # (n, 160, 4, frames / 16)
        rows = torch.cat([grid.mean(2), self.squeeze(grid).flatten(1, 2)], dim=1).float()
        spread = (rows.var(2, correction=0) + 1e-5).sqrt()
        return self.head(torch.cat([rows.mean(2), spread], dim=1))  # type: ignore[no-any-return]
