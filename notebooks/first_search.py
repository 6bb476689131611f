# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first search
#
# We start from nothing: no model to download, no server, no files. In a few minutes we
# have a small catalogue of pictures, sounds and texts, and ask it in each of the three for
# each of the three. Run the cells from top to bottom.

# %%
import io
import tempfile
import warnings
from html import escape
from pathlib import Path

import numpy as np
import polars as pl
import soundfile
from IPython.display import HTML, Audio, Image, display

import trichord
from trichord.catalog import Catalog
from trichord.demo import inventory, sample

# A progress bar that some library would like to show needs a widget package; nothing is lost.
warnings.filterwarnings("ignore", message="IProgress not found")
folder = Path(tempfile.mkdtemp(prefix="trichord-"))

# %% [markdown]
# ## Something to search
#
# Your own folder would do. Here we draw one, so that everybody sees the same: for each of a
# dozen things a cover, a short clip and a note. Files that share a name belong to one
# **entity**; each of them is an **item** of it.

# %%
things = ["cat", "dog", "rain", "fire", "violin", "trumpet", "train", "bell", "owl", "frog"]
things += ["ocean wave", "telephone"]
entries = [
    entry
    for entry in inventory.entries()
    if entry.attributes["kind"] == "tape" or set(entry.about) & set(things)
]
made = sample.render(folder, entries=entries, workers=1)
print(made.items, "files, for example:")
for path in sorted(made.media.rglob("*.*"))[::12]:
    print("  ", path.relative_to(folder), path.stat().st_size, "bytes")

# %% [markdown]
# Beside the media lies a table with what a label would know about each entity.

# %%
pl.read_parquet(made.table).select("entity_id", "title", "market", "genre", "release_date").head(5)

# %% [markdown]
# ## Ingest
#
# A `Catalog` is a folder on disk. `ingest` takes files, folders and tables; what a row of the
# table says about an entity holds for all its items. The space `pocket` comes with Trichord: it
# places texts, pictures and sounds in the same 384 dimensions.

# %%
catalog = Catalog.open(folder / "store")
report = catalog.ingest(made.media, made.table)
print(report.added, "added,", report.failed, "failed")

# %% [markdown]
# Ingesting again does no harm and almost no work: what has not changed is not embedded again.

# %%
again = catalog.ingest(made.media, made.table)
print(again.added, "added,", again.unchanged, "unchanged")

# %% [markdown]
# ## Ask with words
#
# First for sounds. The answer is a table by nature: one row per hit, best first. The score is
# the cosine between the question and the stored sound.

# %%
hits = catalog.search(
    "water falling from the sky", modality="audio", limit=4, attributes=["title", "market"]
)
hits.to_polars().select("item_id", "score", "title", "market")


# %% [markdown]
# Numbers are not enough: let us listen and look. This shows a hit as what it is.


# %%
def show(hits):
    """Each hit with its title; a sound from the time of the hit on."""
    for hit in hits:
        item = catalog.get([hit.item_id]).items[0]
        title = str(item.attributes.get("title", hit.item_id))
        span = hit.segments[0].span
        display(HTML(f"<b>{escape(title)}</b> &nbsp; {hit.score:.2f}"))
        if item.modality == "image":
            display(Image(filename=item.uri, width=120))
        elif item.modality == "audio":
            if item.segments == 1:
                display(Audio(filename=item.uri))
            else:
                with soundfile.SoundFile(item.uri) as file:
                    file.seek(file.samplerate * span.start_ms // 1000)
                    display(Audio(file.read(4 * file.samplerate), rate=file.samplerate))
        else:
            display(HTML(f"<i>{escape(item.text[span.start_char : span.end_char])}</i>"))


show(hits[:2])

# %% [markdown]
# The same question finds pictures and texts too.

# %%
show(catalog.search("water falling from the sky", modality="image", limit=2))
show(catalog.search("water falling from the sky", modality="text", limit=2))

# %% [markdown]
# ## Ask with a picture, ask with a sound
#
# A picture that is not in the catalogue…

# %%
picture = sample.picture_bytes("violin", 709_999, ".jpg")
display(Image(picture, width=140))

# %% [markdown]
# …finds the sound of what it shows:

# %%
heard = catalog.search(trichord.Image(picture), modality="audio", limit=2)
show(heard)

# %% [markdown]
# And a sound finds pictures and texts.

# %%
sound = sample.sound_bytes([("owl", 709_999)], 3.0, 16_000, ".wav")
samples, rate = soundfile.read(io.BytesIO(sound))
display(Audio(samples, rate=rate))

# %%
seen = catalog.search(trichord.Audio(sound), modality="image", limit=2)
show(seen)
read = catalog.search(trichord.Audio(sound), modality="text", limit=2)
show(read)

# %% [markdown]
# ## Filters
#
# `where` reads the attributes. A hit that breaks the filter does not come, and one that keeps it
# is not lost because others were nearer.

# %%
filtered = catalog.search(
    "an animal",
    modality="image",
    where="genre = 'animals' and year >= 2016",
    attributes=["title", "genre", "year"],
    limit=5,
)
filtered.to_polars().select("item_id", "score", "genre", "year")

# %% [markdown]
# ## The moment
#
# A long recording has a vector for every ten seconds, so a hit says where to listen. There is a
# tape of half a minute with three things on it; where does the frog begin?

# %%
moment = catalog.search("a frog", modality="audio", where="kind = 'tape'", limit=1)[0]
span = moment.segments[0].span
print(moment.item_id, "from", span.start_ms / 1000, "to", span.end_ms / 1000, "seconds")
show([moment])

# %% [markdown]
# ## Items, entities, combinations
#
# A stored item can ask too; so can an entity (the mean of what belongs to it), and a weighted sum
# of anything. Grouped by entity, each track appears once, with its best item.

# %%
print(catalog.similar("covers/cat.jpg", modality="audio", limit=3))
print(catalog.search(trichord.EntityRef("dog"), group="entity", limit=3))
both = catalog.search(
    trichord.Image(picture) + 0.7 * trichord.Text("a train"), modality="image", limit=4
)
show(both)

# %% [markdown]
# Underneath are plain unit vectors, if you want them:

# %%
vectors = catalog.embed(
    [trichord.Text("rain"), trichord.Text("a trumpet"), trichord.Audio(sound)]
).vectors
print(vectors.shape, vectors.dtype, np.linalg.norm(vectors, axis=1).round(3))

# %%
catalog.close()

# %% [markdown]
# The same verbs work against a server (`trichord serve --store …`, then
# `Client("localhost:50051")`) and on the command line (`trichord search "a frog"`).
