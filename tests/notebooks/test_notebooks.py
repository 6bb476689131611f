"""Every notebook runs from its text alone, in an empty folder, and shows what it promises."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path
from typing import Any

import jupytext
import nbclient
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class ThisPython(AsyncKernelManager):
    """A kernel of the interpreter that runs the tests, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="this Python", language="python")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the notebook machinery, which is not ours
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        patch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
        notebook = jupytext.read(NOTEBOOKS / "first_search.py")
        client = nbclient.NotebookClient(
            notebook,
            timeout=300,
            resources={"metadata": {"path": str(folder)}},
            kernel_manager_class=ThisPython,
        )
        asyncio.run(client.async_execute())
    return notebook


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(notebook: Any) -> str:
    return "".join(o["text"] for o in outputs(notebook) if o["output_type"] == "stream")


def shown_after(notebook: Any, code: str) -> str:
    """What the cell with this code showed, as text."""
    (cell,) = [c for c in notebook.cells if c.cell_type == "code" and code in c.source]
    parts = [str(o.get("text", "")) for o in cell.outputs]
    parts += [str(v) for o in cell.outputs for v in o.get("data", {}).values()]
    return "\n".join(parts)


def test_it_ingests_all_and_then_nothing(executed: Any) -> None:
    assert " added, 0 failed" in printed(executed)
    assert "\n0 added, " in printed(executed)


def test_it_finds_the_right_things_across_modalities(executed: Any) -> None:
    rain = shown_after(executed, '"water falling from the sky", modality="audio", limit=4')
    assert "clips/rain" in rain or "boxes/rain-2" in rain
    violin = shown_after(executed, "show(heard)")
    assert "iolin" in violin and "data:audio/" in violin
    owl = shown_after(executed, "show(seen)")
    assert "Owl" in owl or "owl" in owl
    frog = shown_after(executed, 'catalog.search("a frog"')
    assert "clips/tape-night.ogg from 10.0 to 20.0 seconds" in frog
    both = shown_after(executed, "0.7 * trichord.Text").lower()
    assert "violin" in both and "train" in both


def test_it_keeps_filters(executed: Any) -> None:
    table = shown_after(executed, "genre = 'animals'")
    assert "animals" in table
    assert "nature" not in table and "machines" not in table


def test_there_is_something_to_look_at_and_to_listen_to(executed: Any) -> None:
    kinds = [kind for output in outputs(executed) for kind in output.get("data", {})]
    assert sum(kind in ("image/png", "image/jpeg") for kind in kinds) >= 6
    html = "".join(str(o.get("data", {}).get("text/html", "")) for o in outputs(executed))
    assert html.count("<audio") >= 5


def test_the_stored_copy_is_of_this_text() -> None:
    """The copy with outputs, for people who only read, must not be of an older text."""
    text = jupytext.read(NOTEBOOKS / "first_search.py")
    stored = jupytext.read(NOTEBOOKS / "first_search.ipynb")
    assert [cell.source for cell in stored.cells] == [cell.source for cell in text.cells]
    assert any(cell.get("outputs") for cell in stored.cells)
    assert not any(
        output["output_type"] == "error"
        for cell in stored.cells
        for output in cell.get("outputs", [])
    )
    assert (NOTEBOOKS / "first_search.ipynb").stat().st_size < 1_500_000
