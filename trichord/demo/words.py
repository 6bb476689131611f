"""Sentences of the sample catalogue and of the questions to it, written by hand.

None of them is made by a template that the pocket space was trained or evaluated with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NOTES: Mapping[str, tuple[str, str]] = {
    "cat": (
        "The cat sleeps on the windowsill and purrs when the sun comes round.",
        "Our neighbour's cat meows at the kitchen door until it gets its fish.",
    ),
    "dog": (
        "A dog barks twice at the postman and wags its tail.",
        "The old dog lies in front of the house and growls at strangers.",
    ),
    "rain": (
        "It has rained since morning; the water runs down the gutters.",
        "Rain drums on the tin roof and nobody wants to go outside.",
    ),
    "fire": (
        "The fire crackles in the stove and warms the room.",
        "Dry wood burns quickly, and sparks fly up from the fire.",
    ),
    "violin": (
        "A violin plays a slow tune, long bows on the lowest string.",
        "For solo violin: four strings, one bow, a lot of practice.",
    ),
    "guitar": (
        "He tunes the guitar and plucks the open strings.",
        "Six strings and a song: a guitar by the open window.",
    ),
    "trumpet": (
        "A trumpet calls from the tower at noon.",
        "The trumpet player empties his valves and starts again, louder.",
    ),
    "piano": (
        "Somebody plays the piano in the room above, scales and then a waltz.",
        "A piano with two missing keys, tuned last in spring.",
    ),
    "train": (
        "The steam train puffs up the hill and whistles before the tunnel.",
        "The night train rolls over the bridge, carriage after carriage.",
    ),
    "helicopter": (
        "A helicopter lands on the roof of the hospital and its rotor slows down.",
        "Rotor blades beat the air: a helicopter on its way to the mountains.",
    ),
    "bell": (
        "The bell rings once for every hour.",
        "A small brass bell calls everyone to the table.",
    ),
    "telephone": (
        "The telephone rings and rings, and nobody is at home.",
        "An old telephone with a dial, in the hall under the stairs.",
    ),
    "alarm clock": (
        "The alarm clock goes off at six and falls from the table.",
        "He hits the alarm clock and sleeps on for ten minutes.",
    ),
    "owl": (
        "An owl hoots from the oak after midnight.",
        "The owl turns its head and looks for mice in the barn.",
    ),
    "frog": (
        "A frog croaks at the edge of the pond.",
        "After the storm every frog in the ditch begins to sing.",
    ),
    "bee": (
        "A bee hums from blossom to blossom.",
        "One bee has lost its way and buzzes against the glass.",
    ),
    "baby": (
        "The baby cries because the bottle is empty.",
        "A baby in the pram, quiet at last, and then screaming again.",
    ),
    "ocean wave": (
        "Waves break on the rocks and run back into the sea.",
        "The ocean rolls in, one wave after another, all day.",
    ),
    "drum": (
        "He beats the drum with two sticks, slowly at first.",
        "A snare drum marches past at the head of the parade.",
    ),
    "rocket": (
        "The rocket lifts off with a roar and is gone in the clouds.",
        "Engines burn for eight minutes and carry the rocket into orbit.",
    ),
    "horse": (
        "The horse trots over the cobblestones, and its hooves clatter.",
        "A brown horse gallops along the fence.",
    ),
    "keyboard": (
        "Keys click: she types her report on the keyboard until late.",
        "A computer keyboard with worn letters, typed on every day.",
    ),
    "popcorn": (
        "Popcorn jumps in the pot, first one grain, then hundreds.",
        "A paper bag of warm popcorn at the cinema.",
    ),
    "laughing face": (
        "They laugh until tears run down their faces.",
        "A face that laughs so hard that everyone else begins to laugh.",
    ),
}
"""Concept -> the texts of its two tracks."""

NOTES_OF_BOTH = (
    "This entry is about {phrase}: first you see it on the cover, then you hear it.",
    "We kept the microphone open for a few seconds, and what came in was {phrase}.",
    "Side one belongs to {phrase}. Nothing else happens, and nothing else is needed.",
    "From the archive, looked at closely and listened to twice: {phrase}.",
    "{Phrase}, the way you would come across it on an ordinary day.",
)
NOTES_OF_HEARD = (
    "There is no picture of this one. From beginning to end it is {phrase}.",
    "Put on your headphones. This is {phrase}, with nobody else in the room.",
    "{Phrase}, taken down in one go and left as it was.",
)
NOTES_OF_SEEN = (
    "A plate from an old picture book: {phrase} on a coloured ground.",
    "The page shows {phrase}, large enough to be known at a glance.",
    "{Phrase}, for the collection of silent things.",
)
TITLES = (
    "{Name} No. {number}",
    "Portrait of {phrase}",
    "{Name}, Early Morning",
    "After {phrase}",
    "{Name} & Company",
    "Study <{name}>",
    'The "{Name}" Sessions',
)
MARKETS = ("SE", "NO", "DK", "FI", "DE", "FR", "GB", "US", "JP", "BR")
TAGS = ("night", "archive", "live", "short", "favourite", "restored")

ASKED: Mapping[str, str] = {
    "cat": "a cat that wants its dinner",
    "dog": "somebody's dog is guarding the yard",
    "rain": "rain against the bedroom window",
    "fire": "sitting around a fire in the evening",
    "violin": "she practises the violin next door",
    "guitar": "a few chords on the guitar",
    "trumpet": "the trumpet that wakes the barracks",
    "piano": "an upright piano in the school hall",
    "train": "an old train leaving the station",
    "helicopter": "a helicopter circles over the town",
    "bell": "the bell of the village school",
    "telephone": "pick up the telephone, it will not stop",
    "alarm clock": "the alarm clock at half past six",
    "owl": "an owl in the dark forest",
    "frog": "a frog beside the pond",
    "bee": "a bee between the flowers",
    "baby": "the baby is awake again",
    "ocean wave": "ocean waves at the far end of the beach",
    "drum": "somebody plays the drum upstairs",
    "rocket": "countdown, and the rocket leaves",
    "horse": "a horse crossing the field",
    "keyboard": "typing at a keyboard all night",
    "popcorn": "popcorn before the film starts",
    "laughing face": "people laughing at a good joke",
}
"""Concept -> a question in words; the concepts are those of `NOTES`."""


@dataclass(frozen=True)
class Tape:
    """One long recording: its parts follow each other, `PART_SECONDS` each."""

    slug: str
    title: str
    parts: tuple[str, str, str]
    note: str


PART_SECONDS = 10

TAPES = (
    Tape(
        "tape-night",
        "A Night Outside",
        ("owl", "frog", "cricket"),
        "Half a minute at the edge of a wood, recorded between midnight and one.",
    ),
    Tape(
        "tape-journey",
        "Journey in Three Parts",
        ("train", "helicopter", "ship"),
        "A long way home, and three ways of travelling it.",
    ),
    Tape(
        "tape-house",
        "The House Wakes Up",
        ("alarm clock", "baby", "telephone"),
        "Seven in the morning, and the day is already too loud.",
    ),
    Tape(
        "tape-rehearsal",
        "Rehearsal",
        ("violin", "trumpet", "piano"),
        "Three players arrive one after the other and try out the hall.",
    ),
)


@dataclass(frozen=True)
class Talk:
    """A spoken programme as subtitles: parts (first second, sentences), what is asked of it and
    the number of the part that answers. Its cover shows the first concept that it is about."""

    slug: str
    title: str
    about: tuple[str, ...]
    parts: tuple[tuple[int, tuple[str, ...]], ...]
    question: str
    answer: int


SECONDS_PER_CUE = 6

TALKS = (
    Talk(
        "talk-workshop",
        "From the Workshop",
        ("screwdriver", "violin"),
        (
            (2, ("Good evening and welcome.", "We start with tonight's weather and the roads.")),
            (
                50,
                (
                    "In the second part we visit a woman who builds violins.",
                    "The maple for the back has dried in her attic for twelve years.",
                    "Then the varnish: seven thin coats, and a month of waiting.",
                ),
            ),
            (110, ("At the end the football results.", "It was a bad day for the home side.")),
        ),
        "how string instruments are made by hand",
        1,
    ),
    Talk(
        "talk-kitchen",
        "Kitchen Hour",
        ("frying pan",),
        (
            (0, ("Today a reader asks how to keep knives sharp.", "Use a stone, and take time.")),
            (
                48,
                (
                    "And now to the soup: onions, carrots and an hour of patience.",
                    "Salt comes last, never first.",
                ),
            ),
            (
                96,
                (
                    "For the dessert we bake a cake with apples and cinnamon.",
                    "The dough rests while the oven gets hot.",
                ),
            ),
        ),
        "a recipe for something sweet from the oven",
        2,
    ),
    Talk(
        "talk-sea",
        "Letters from the Sea",
        ("whale",),
        (
            (0, ("The lighthouse was built after the great storm.", "Its lamp burned oil.")),
            (
                55,
                (
                    "In spring the whales pass close to the island.",
                    "They sing, and divers hear it from miles away.",
                ),
            ),
            (
                120,
                (
                    "The ferry no longer runs in winter.",
                    "Whoever stays has bread and flour for three months.",
                ),
            ),
        ),
        "large animals that sing under water",
        1,
    ),
    Talk(
        "talk-stars",
        "Looking Up",
        ("telescope", "rocket"),
        (
            (
                0,
                (
                    "Saturn is easy to find this week, low in the south.",
                    "A small telescope shows the rings.",
                ),
            ),
            (60, ("A listener found a strange stone in her garden.", "It was slag, sadly.")),
            (
                115,
                (
                    "Next week a rocket brings three astronauts to the station.",
                    "The launch is before breakfast; set an alarm.",
                ),
            ),
        ),
        "a crew flies into space",
        2,
    ),
)
