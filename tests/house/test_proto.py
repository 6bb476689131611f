"""The generated stubs are those of the .proto files, and the protos keep their own rules."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTOS = sorted((ROOT / "proto/trichord/v1").glob("*.proto"))


def test_the_stubs_are_fresh(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts/proto", tmp_path], check=True, cwd=ROOT, timeout=300)
    made = sorted((tmp_path / "trichord/v1").iterdir())
    assert len(made) == 3 * len(PROTOS)
    for path in made:
        kept = ROOT / "proto/trichord/v1" / path.name
        assert kept.read_bytes() == path.read_bytes(), f"{path.name} is stale: run `make proto`"


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: path.stem)
def test_a_proto_follows_the_style(path: Path) -> None:
    """What buf's STANDARD rules ask for, as far as a text can tell."""
    text = re.sub(r"//.*", "", path.read_text())
    assert 'syntax = "proto3";' in text and "package trichord.v1;" in text
    for service, body in re.findall(r"service (\w+) \{(.*?)\n\}", text, re.S):
        assert service.endswith("Service")
        for rpc, taken, given in re.findall(
            r"rpc (\w+)\((?:stream )?(\w+)\) returns \((?:stream )?(\w+)\)", body
        ):
            assert (taken, given) == (f"{rpc}Request", f"{rpc}Response")
    for enum, body in re.findall(r"enum (\w+) \{(.*?)\}", text, re.S):
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum).upper()
        values = re.findall(r"(\w+) = (\d+);", body)
        assert values[0] == (f"{prefix}_UNSPECIFIED", "0")
        assert all(name.startswith(f"{prefix}_") for name, _ in values)
    for field in re.findall(r"^\s+(?:repeated |optional )?[\w.<>, ]+ (\w+) = \d+", text, re.M):
        assert field == field.lower() or field.isupper()
