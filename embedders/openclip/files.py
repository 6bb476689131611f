"""Files of model repositories on this machine, downloaded when missing unless that is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trichord.errors import ModelError

FETCH = "fetch it once where there is a network: trichord space add NAME"


@dataclass(frozen=True)
class Hub:
    """How the hub may be used: `offline` never asks the network, `cache` is the hub library's
    folder (None: its own default)."""

    offline: bool = False
    cache: Path | None = None

    def one_of(self, repo: str, names: Sequence[str], revision: str | None = None) -> Path:
        """The first of `names` that the repository has. Raises ModelError."""
        for name in names:
            found = self.file(repo, name, revision)
            if found is not None:
                return found
        where = "on this machine (offline)" if self.offline else "in the repository or its cache"
        raise ModelError(
            f"{repo}: none of {', '.join(names)} is {where}: {FETCH}", repo=repo, revision=revision
        )

    def file(self, repo: str, name: str, revision: str | None = None) -> Path | None:
        """The path of one file, None where the repository (or, offline, the cache) has none.

        Raises ModelError for a repository that does not exist or cannot be reached.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            return Path(
                hf_hub_download(
                    repo,
                    name,
                    revision=revision,
                    cache_dir=self.cache,
                    local_files_only=self.offline,
                )
            )
        except LocalEntryNotFoundError as error:
            if self.offline:
                return None
            raise ModelError(
                f"{repo}: {name} is not on this machine and the hub cannot be reached: {FETCH}",
                repo=repo,
            ) from error
        except EntryNotFoundError:
            return None
        except Exception as error:  # no such repository or revision, gated, network, disk
            raise ModelError(f"{repo}: {name} cannot be fetched: {error}", repo=repo) from error
