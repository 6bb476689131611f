"""The spaces of this machine: a folder with one folder per space.

    <folder>/<name>/space.toml           the definition, its paths absolute
                    space.lock.json      frame, encoders with their facts, licences, when, on what
                    canaries.safetensors what the models computed when the space was added
                    <modality>.projector.safetensors

A space never changes: another model, option or projector is another space of another name, and a
migration leads from one to the other. Listing and describing read these files only; no model, no
torch.
"""

from __future__ import annotations

import errno
import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trichord.embedders import lockfile
from trichord.embedders.backend import Runtime
from trichord.embedders.canaries import vectors
from trichord.embedders.composed import ComposedSpace, Opener
from trichord.embedders.definition import Definition, check_name
from trichord.embedders.families import open_backend
from trichord.embedders.lockfile import Registered
from trichord.embedders.spaces import SPACES
from trichord.errors import InvalidInput, NotFound, StorageFull, StoreError
from trichord.types import Space

RESERVED = (*SPACES, "default")
"""Names of bundled spaces, and the alias of searches that name none."""

_DRAFT = ".draft"
_GUARD = ".lock"


class Registry:
    """Registered spaces below `folder`, which need not exist yet. Safe to use from several
    processes: what is added appears whole or not at all."""

    def __init__(self, folder: Path, *, opener: Opener = open_backend) -> None:
        self.folder = Path(folder)
        self._opener = opener

    def names(self) -> list[str]:
        """Sorted; reads no file."""
        if not self.folder.is_dir():
            return []
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if not path.name.startswith(".") and (path / lockfile.LOCK).is_file()
        )

    def get(self, name: str) -> Registered:
        """Raises NotFound, ModelError for a damaged lock file."""
        folder = self.folder / name
        if name not in self.names():
            known = ", ".join([*SPACES, *self.names()])
            raise NotFound(
                f"there is no space {name!r} on this machine; there are {known}"
                " (add one with trichord space add)",
                space=name,
            )
        return lockfile.read_lock(name, folder)

    def open(self, name: str, runtime: Runtime = Runtime()) -> ComposedSpace:  # noqa: B008 (frozen)
        """The space, its configuration and checksums compared with what was registered.

        Raises NotFound, EncoderMismatch when a model, its weights, an option or the projector is
        another one now, and what `ComposedSpace` raises.
        """
        known = self.get(name)
        joint = ComposedSpace(known.definition.renamed(name), runtime, opener=self._opener)
        lockfile.compare(known, joint)
        return joint

    def add(
        self,
        definition: Definition,
        runtime: Runtime = Runtime(),  # noqa: B008 (frozen)
        *,
        on_step: Callable[[str], object] | None = None,
    ) -> Registered:
        """Registers a space: fetches its models (unless `runtime.offline`), loads them, embeds the
        canaries and writes it all down.

        Adding the same once more changes nothing. `on_step(text)` is told what happens. Raises
        InvalidInput for a name that is taken by other encoders or reserved, and what
        `ComposedSpace` and the models raise; then nothing is left behind.
        """
        name = check_name(definition.name)
        if name in RESERVED:
            raise InvalidInput(f"the name {name!r} is taken: choose another (--name)", space=name)
        unjoined = definition.unjoined()
        if unjoined:  # before anything is downloaded
            raise InvalidInput(
                f"the {' and '.join(unjoined)} part of {name!r} is of another model than its"
                f" {definition.anchor} and needs a projector: fit one with trichord space fit and"
                " give it with --projector, or leave the part out with --without",
                space=name,
            )
        tell = on_step or (lambda text: None)
        tell("models: looking for their files")
        joint = ComposedSpace(definition, runtime, opener=self._opener)
        space = joint.space
        if name in self.names():
            return self._same(name, space)
        tell("models: loading them and embedding the canaries")
        found = vectors(joint)
        tell("writing it down")
        with self._guarded():
            if name in self.names():
                return self._same(name, space)
            draft = self.folder / _DRAFT
            try:
                draft.mkdir()
                lockfile.write(draft, joint, found)
                draft.rename(self.folder / name)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return self.get(name)

    def remove(self, name: str) -> None:
        """Forgets a space; downloaded models stay in their cache. Raises NotFound, InvalidInput
        for a bundled one."""
        if name in SPACES:
            raise InvalidInput(f"the space {name!r} is bundled and cannot be removed", space=name)
        with self._guarded():
            folder = self.get(name).folder
            draft = self.folder / _DRAFT
            folder.rename(draft)
            shutil.rmtree(draft)

    def _same(self, name: str, space: Space) -> Registered:
        known = self.get(name)
        if known.space == space and dict(known.space.encoders) == dict(space.encoders):
            return known
        changed = sorted(
            str(m)
            for m in {*known.encoders, *space.encoders}
            if known.space.encoders.get(m) != space.encoders.get(m)
        )
        what = f"other encoders for {', '.join(changed)}" if changed else "another frame"
        raise InvalidInput(
            f"the space {name!r} is registered with {what}, and a space never changes: choose a new"
            f" name (--name {lockfile.following(name, self.names())}) and migrate to it",
            space=name,
        )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """One process at a time; what a killed one left is removed. Raises StoreError, StorageFull
        for a folder that cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / _GUARD, "w") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                shutil.rmtree(self.folder / _DRAFT, ignore_errors=True)
                yield
        except OSError as error:
            kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
            raise kind(
                f"the spaces of this machine in {self.folder} cannot be written:"
                f" {error.strerror or error}",
                path=self.folder,
            ) from error
