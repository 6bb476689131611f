"""The MLP projector: starts as a linear map, learns what is left, with noise on its input.

Noise on text vectors stands for the difference between a caption and the sound that it describes,
and InfoNCE keeps neighbours apart: the objectives of C-MCR (Z. Wang et al., 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trichord.types import F32


@dataclass(frozen=True)
class MlpSettings:
    """`noise`: length of the noise relative to a centred vector's; the rest as usual."""

    noise: float = 0.3
    hidden: int = 384
    steps: int = 300
    batch: int = 256
    rate: float = 1e-3
    decay: float = 0.05
    scale: float = 20.0


def fit_mlp(
    source: F32, target: F32, start: F32, target_mean: F32, settings: MlpSettings, seed: int
) -> dict[str, F32]:
    """Centred source rows (n, ds) and unit target rows (n, dt) -> `linear`, `up`, `bias`, `down`.

    `start` (ds, dt) is the linear map it begins from. One thread's arithmetic, seeded: the same
    call gives the same weights on one machine.
    """
    generator = torch.Generator().manual_seed(seed)
    x_all, y_all = torch.from_numpy(source), torch.from_numpy(target)
    mean = torch.from_numpy(target_mean)
    ds, dt = start.shape
    linear = nn.Parameter(torch.from_numpy(start.copy()))
    up = nn.Parameter(torch.randn(ds, settings.hidden, generator=generator) / ds**0.5)
    bias = nn.Parameter(torch.zeros(settings.hidden))
    down = nn.Parameter(torch.zeros(settings.hidden, dt))
    parameters = [linear, up, bias, down]
    optimizer = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.decay)
    size = min(settings.batch, len(source))
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * 0.5 * (1 + np.cos(np.pi * step / settings.steps))
        pick = torch.randperm(len(source), generator=generator)[:size]
        x, wanted = x_all[pick], y_all[pick]
        noise = torch.randn(x.shape, generator=generator) / ds**0.5
        x = x + settings.noise * x.norm(dim=1, keepdim=True) * noise
        y = F.normalize(x @ linear + F.relu(x @ up + bias) @ down + mean, dim=1)
        cosine = y @ wanted.T
        here = torch.arange(size)
        contrast = F.cross_entropy(settings.scale * cosine, here)
        contrast = contrast + F.cross_entropy(settings.scale * cosine.T, here)
        loss = 0.5 * contrast + (1 - cosine.diagonal()).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    names = ("linear", "up", "bias", "down")
    return {n: p.detach().numpy().copy() for n, p in zip(names, parameters, strict=True)}
