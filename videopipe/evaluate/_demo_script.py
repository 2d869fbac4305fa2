"""The screenplay of the demonstration video, and the questions that it does and does not answer.

How a line of ``SCRIPT`` begins says what it is: ``#`` a chapter (title, accent colour), ``~`` a
scene without text, ``##`` a slide, ``-`` a bullet point and ``|`` a table row on that slide. Every
other line is a sentence of the narration, spoken during the scene or slide above it.

Most facts are either shown or spoken, so that neither channel alone can answer every question.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Channel = Literal["narration", "slide", "scene"]


@dataclass(slots=True)
class Part:
    """One picture of the film, a slide if it has a title, and what is said meanwhile."""

    chapter: int
    accent: str
    chapter_title: str
    title: str = ""
    scene: str = ""
    bullets: list[str] = field(default_factory=list)
    table: list[list[str]] = field(default_factory=list)
    narration: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Question:
    """``evidence`` holds what is quoted: narrated sentences (any part), slide titles or scenes."""

    question: str
    answer: str
    channel: Channel | None
    evidence: tuple[str, ...] = ()


def parts() -> list[Part]:
    """The film in order."""
    film: list[Part] = []
    number, accent, chapter_title = 0, "", ""
    for line in filter(None, map(str.strip, SCRIPT.splitlines())):
        mark, _, text = line.partition(" ")
        if mark == "#":
            number += 1
            chapter_title, accent = text.rsplit(" ", 1)
        elif mark == "##":
            film.append(Part(number, accent, chapter_title, title=text))
        elif mark == "~":
            film.append(Part(number, accent, chapter_title, scene=text))
        elif mark == "-":
            film[-1].bullets.append(text)
        elif mark == "|":
            film[-1].table.append([cell.strip() for cell in text.rstrip("|").split("|")])
        else:
            film[-1].narration.append(line)
    return film


PUBLIC_QUESTIONS = (
    Question(
        "How much time had Harrison's watch lost after the voyage to Jamaica?",
        "five seconds",
        "narration",
        ("On the voyage to Jamaica", "After eighty-one days at sea"),
    ),
    Question(
        "How many times a second does the quartz in a watch vibrate?",
        "32,768",
        "slide",
        ("Inside a quartz watch",),
    ),
    Question("When is the picture mostly orange?", "orange", "scene", ("sunset",)),
)

MORE_QUESTIONS = (
    Question(
        "What did the Greeks mean by their name for the stick of a sundial?",
        "the one who knows",
        "narration",
        ("The Greeks called such a stick",),
    ),
    Question(
        "Who sold the correct time to customers from door to door?",
        "Ruth Belville",
        "narration",
        ("a woman called Ruth Belville",),
    ),
    Question(
        "Why did two trains crash into each other in Ohio?",
        "one watch had stopped",
        "narration",
        ("two trains met head-on",),
    ),
    Question(
        "How many chronometers did Darwin's ship take along?",
        "twenty-two",
        "narration",
        ("when the Beagle sailed",),
    ),
    Question(
        "Which island nation jumped over the date line and lost a day?",
        "Samoa",
        "narration",
        ("Samoa jumped across",),
    ),
    Question(
        "What happened to the world's oldest known pine tree?",
        "cut down",
        "narration",
        ("a student in Nevada cut down",),
    ),
    Question(
        "How did an English king divide up his day with burning wax?",
        "six candles",
        "narration",
        ("King Alfred of England",),
    ),
    Question(
        "What did Huygens notice about a pair of clocks while he was sick?",
        "fall into step",
        "narration",
        ("One day, ill in bed",),
    ),
    Question(
        "How long does an atom of oxygen wait before it gives off red light?",
        "nearly two minutes",
        "narration",
        ("An excited atom there",),
    ),
    Question(
        "Which year in Sweden had thirty days in February?",
        "1712",
        "narration",
        ("thirtieth of February",),
    ),
    Question(
        "How long is a day when it is measured against the stars?",
        "23 h 56 min 4 s",
        "slide",
        ("The day, seen twice",),
    ),
    Question(
        "How many days did the year of confusion have?",
        "445",
        "slide",
        ("Julius Caesar's reform",),
    ),
    Question(
        "How many figures struck bells and gongs in the Chinese water clock?",
        "133",
        "slide",
        ("The tower of Su Song",),
    ),
    Question(
        "On what date is a sundial 16 minutes ahead of the clock?",
        "3 November",
        "slide",
        ("Sun time against clock time",),
    ),
    Question(
        "After how long is half of the radiocarbon gone?",
        "5,730 years",
        "slide",
        ("Radiocarbon and its cousins",),
    ),
    Question(
        "How many delegations voted for Greenwich as the prime meridian?",
        "22",
        "slide",
        ("The prime meridian",),
    ),
    Question(
        "How much faster do GPS clocks run per day because of relativity, in total?",
        "38 microseconds",
        "slide",
        ("Relativity at work",),
    ),
    Question(
        "How long does one day on Mars last?",
        "24 h 39 min 35 s",
        "slide",
        ("Time on other worlds",),
    ),
    Question(
        "What is the frequency of the German radio time signal?",
        "77.5 kHz",
        "slide",
        ("Time by telephone and radio",),
    ),
    Question(
        "How deep was the ice core drilled at Dome C in Antarctica?",
        "3,270 metres",
        "slide",
        ("Ice, mud and cave stone",),
    ),
    Question("How long do you bake a loaf of sourdough bread?", "", None),
    Question("Who won the football World Cup in 1998?", "", None),
    Question("Which painter showed melting watches in a landscape?", "", None),
    Question("How do vaccines protect the body against a virus?", "", None),
    Question("What is the capital city of Australia?", "", None),
)

SCRIPT = """
# The turning sky #8FB8FF

~ stars
Long before there were clocks, there was the sky, and it kept perfect order.
Every night the stars rise in the east, cross the heavens together and sink in the west.
They seem to wheel around one quiet point, close to the star we call Polaris.

## The measure of time
- A short history in twelve chapters
- Sky, shadow, water, fire: clocks without wheels
- Gears, pendulums and springs: clocks with a heartbeat
- Quartz, atoms and satellites: clocks for machines
- Rings, ice and rock: clocks that nobody built
In this hour we follow one question: how do we know what time it is?
People have answered it with shadows, with dripping water and with burning wax.
Later they built wheels and pendulums, and in our own age they listen to atoms.
Every one of these devices does the same two things: something repeats, and something counts.
The better the repetition, the better the clock, and the sky repeats very well indeed.
So we begin outdoors, on a clear night, with no instrument at all.

## The day, seen twice
- Solar day: noon to noon, 24 hours on average
- Sidereal day: star to star, 23 h 56 min 4 s
- In one sidereal day the Earth turns exactly 360 degrees
- The difference makes up for one day's travel in orbit
A day can be measured against the Sun or against a distant star, and the two do not agree.
While our planet spins, it also travels along its path, so it must turn a little further.
That is why any given star comes up slightly earlier each evening.
After six months, the constellations of midnight have moved to noon and cannot be seen.
After a full year the surplus has grown to exactly one extra turn.
Astronomers still point their telescopes by star time, not by the time on the wall.

~ stars
If you leave a camera open on a tripod, the stars draw long arcs of light.
In one hour each arc covers fifteen degrees, a twenty-fourth part of a circle.
A sailor could read the hour from the Great Bear as it swung about the pole.

## Star clocks of Egypt
- Decans: 36 groups of stars, one for every ten days
- Diagonal star tables were painted inside coffin lids
- The oldest tables date from about 2100 BC
- Twelve decans marked the hours of the night
Priests in Egypt divided the darkness by watching which stars had just come over the horizon.
The brightest of them all, Sirius, was a goddess they called Sopdet.
Its first appearance at dawn announced that the Nile was about to flood.
The dead, too, were given a list of stars, so that they could tell the hour in the afterlife.
From this habit of counting came the idea that a night has twelve parts.
The hours were not equal, though: summer nights gave shorter ones than winter nights.

## Why sixty?
- Babylonian numbers were written in base 60
- 60 divides by 2, 3, 4, 5, 6, 10, 12, 15, 20 and 30
- Pars minuta prima: the first small part, our minute
- Pars minuta secunda: the second small part
Our minutes come from Mesopotamia, where scribes counted in a rather unusual way.
Fractions are easy when so many numbers go in without a remainder.
Greek astronomers such as Ptolemy borrowed the scheme for angles in the sky.
Medieval scholars carried it over from the circle to the hour.
Nobody could see a second pass on a dial until the late sixteenth century.
An attempt during the French Revolution to give the day ten hours was soon abandoned.

# Stick and shadow #FFD166

~ desert
Where the Sun is strong, the simplest clock is a stick pushed upright into the ground.
Its shadow is long in the morning, shortest at midday and long again toward evening.
The Greeks called such a stick a gnomon, which means the one who knows.

## The oldest sundials
- Egyptian shadow clocks: about 1500 BC
- Valley of the Kings: a limestone dial, 13th century BC
- Found in 2013 beside the huts of tomb builders
- A half circle divided into twelve sections
The oldest instruments of this kind come from the land of the pharaohs.
One of them was a flat chip of stone with a fan of lines drawn in black.
It may have told the labourers when to begin work and when to rest.
A dent in the middle held a small peg that threw the shadow.
From one line to the next the shadow needed about an hour.
In those days nobody asked for the minute, only for the part of the day.

## Rome's borrowed hours
- 263 BC: a sundial is carried from Catania to Rome
- It was drawn for the wrong latitude
- A correct one replaced it after 99 years
- Augustus: a granite obelisk as a pointer, 10 BC
Rome's first public dial was war booty, carried home from Sicily by a consul.
It had been designed for a city farther south, so it never agreed with the Roman sky.
People lived by it all the same, for three generations.
A character in a Roman comedy curses the man who first set up such a thing in town.
As a boy, he complains, his belly was the best clock; now he eats when the Sun allows.
Dials soon multiplied: the architect Vitruvius listed about a dozen kinds.

~ desert
Within the tropics the noonday Sun can stand straight overhead and take the shadow away.
North of the tropics, shadows turn the way our clock hands do; far south, the other way.
That is very likely why clocks run clockwise: they imitate the dials of the northern lands.

## Making a dial honest
- Tilt the gnomon toward the celestial pole
- Its angle equals the latitude of the place
- Cairo 30, Rome 42, London 51.5 degrees
- The same hour lines then serve in every season
An upright stick tells a different time in June than in December.
The cure is to lean it over until it is parallel to the axis of the Earth.
Arab astronomers understood this, and Ibn al-Shatir built a splendid example in 1371.
It stood on a minaret of the great mosque in Damascus, to help call the prayers.
With such a dial all the hours of daylight have the same length.
A century later, dials of this sort were seen on churches across Europe.

## Sun time against clock time
- Equation of time: the Sun is not punctual
- 3 November: the sundial is 16 minutes fast
- 11 February: the sundial is 14 minutes slow
- The two agree on only four days of the year
- Causes: an elliptical orbit and a tilted axis
Even a perfect dial disagrees with a good clock, and the fault lies with our own path.
In January the Earth is closest to the Sun and moves a little faster.
The lean of the globe adds a second, quicker swing to the error.
Photograph the Sun at the same clock time all year, and it traces a figure of eight.
That curious loop is called the analemma, and it is printed on many globes.
Paris kept its public clocks on true Sun time until 1816, then changed to the average.

# Water, sand and fire #FF9E80

~ candle
After dark a sundial is useless, so people looked for things that flow or burn evenly.
A candle of known thickness burns down at a fairly steady pace.
King Alfred of England is said to have shared out his day with six candles of four hours each.

## The water clock
- Clepsydra: Greek for water thief
- Karnak vessel: about 1400 BC, time of Amenhotep III
- A leaking bowl with marks on the inside
- Sloping walls keep the level falling evenly
An Egyptian vessel with a small hole near the bottom is the earliest one that survives.
As the water sank past the scale, the priests counted the hours of the night.
Water runs out faster when the bowl is full, because the pressure is greater.
So the makers gave it the shape of a flowerpot, wide at the rim and narrow at the foot.
In the courts of Athens, a speaker could talk until his jar ran dry.
While a law was being read aloud the flow was stopped, so that nobody lost his turn.

## The tower of Su Song
- Kaifeng, China, completed in 1094
- About 12 metres high
- A great water wheel with 36 scoops
- 133 figures announced the time with bells and gongs
- A bronze sphere on the roof followed the stars
The grandest of all water clocks stood in the capital of the Song emperors.
Its designer was a statesman who also wrote about medicinal plants.
One bucket at a time was filled; its weight tripped a lever and let the wheel take one step.
That stop-and-go motion is an escapement, long before clocks in Europe had one.
When invaders took the city in 1127, the machine was dismantled and carried away.
Its new owners are said to have been unable to put it together again.

~ candle
Fire clocks were just as inventive as those driven by water.
In China and Japan, trails of incense powder burned slowly through carved mazes.
Changing the scent along the path let people smell what hour it was.

## The hourglass
- First certain picture: a fresco in Siena, 1338
- Lorenzetti's figure of Temperance holds it
- Filling: fine sand, powdered marble or eggshell
- Ship's watch: eight turns of a half-hour glass
It is surprising how late the sandglass appears in the record.
The oldest sure image is in a town hall in Tuscany, in a painting about good government.
Unlike water, grains fall at the same speed whether the upper bulb is full or nearly empty.
Sailors liked it because it does not freeze and does not slop about in a swell.
Magellan is reported to have taken eighteen of them on each of his ships.
A boy turned the glass and rang the bell, and life on board was ruled by those strokes.

## What could go wrong
| Timekeeper | Runs on | Enemy |
| Candle | wax | draughts |
| Clepsydra | water | frost |
| Incense clock | powder | damp |
| Hourglass | sand | a worn neck |
Every clock that flows or burns has a weakness, and its owners knew it well.
Cold water is thicker than warm water, so a bowl runs slow long before the ice comes.
The grains slowly widen the opening in the glass, and year by year it runs faster.
King Alfred, they say, put his lights into lanterns of thin ox horn, out of the wind.
Galileo still weighed the water from a thin jet to time a ball rolling down a slope.
For everyday life all this was good enough, until bells began to rule the towns.

# The calendar #A8D8F0

~ snow
A year is the time in which the seasons return, and it is harder to count than it looks.
It does not contain a whole number of days, nor a whole number of moons.
Every calendar ever made is a compromise between these three.

## The numbers that do not fit
- From new moon to new moon: 29.53 days
- From spring to spring: 365.2422 days
- Twelve moons: 354.37 days
- Meton, 432 BC: 19 years equal 235 months
Twelve moons fall short of a year, so a pure moon calendar wanders through the seasons.
The Islamic calendar accepts this, and its month of fasting moves through the whole year.
The Jewish and the Chinese calendar add a thirteenth moon from time to time instead.
An Athenian astronomer found a cycle after which Sun and Moon meet again.
The golden numbers in old prayer books still count the years of his cycle.
Easter is found with it to this day: the first Sunday after the first full moon of spring.

## Julius Caesar's reform
- 46 BC: the year of confusion had 445 days
- 45 BC: first year of the Julian calendar
- 365 days, with a leap day every fourth year
- Adviser: Sosigenes of Alexandria
By Caesar's time the Roman calendar had drifted from the Sun by about three months.
Priests could lengthen a year to keep a friend in office, and were suspected of doing so.
Caesar had met the solar year of Egypt during his stay with Cleopatra.
His new calendar was simple and nearly right, but only nearly.
It was too long by eleven minutes a year, and eleven minutes add up.
After his death the month of Quintilis was renamed July in his honour.

~ snow
Snow, thaw, blossom and harvest: farmers had to know how long until the next.
At the winter solstice the Sun stands lowest at noon and the night is longest.
The passage tomb of Newgrange in Ireland lets in the light only on those mornings.

## Pope Gregory's correction
- 4 October 1582 was followed by 15 October
- No leap day in 1700, 1800 and 1900, but in 2000
- Mean length of a year: 365.2425 days
- Error: one day in about 3,000 years
By the sixteenth century spring began ten days too early, and with it Easter was wrong.
A physician from Calabria, Aloysius Lilius, proposed the remedy.
The Jesuit Christopher Clavius defended it in hundreds of pages.
The rule is elegant: century years are leap years only if four hundred divides them.
Spain, Portugal and much of Italy changed at once; Protestant lands distrusted the Pope.
Ordinary people simply lost ten days of that autumn.

## Latecomers
| Country | Change | Days left out |
| Spain and Portugal | 1582 | 10 |
| Great Britain | 1752 | 11 |
| Russia | 1918 | 13 |
| Greece | 1923 | 13 |
For three centuries a traveller in Europe could cross a border and change the date.
Moscow moved only after the revolution; that is why Red October is remembered in November.
Sweden tried to slide over gradually, lost count, and in 1712 had a thirtieth of February.
Many Orthodox churches still celebrate Christmas by the old reckoning.
Newton was born on Christmas Day in England, when it was already January in Paris.
The week, by the way, ran on unbroken through all of these reforms.

# Wheels and weights #E0B070

~ gears
Around the year 1300 a new sound was heard in European towns: the regular strike of a bell.
Nobody knows who built the first clock with wheels, or exactly where.
The very word comes from the bell: clocca in Latin, Glocke in German.

## Verge and foliot
- Driven by a falling weight
- A crown wheel pushes two pallets in turn
- Foliot: a swinging bar with small weights
- Typical error: 15 minutes a day
A weight on a rope will turn a drum, but left alone it simply races to the floor.
The trick is to stop it and release it, again and again, at an even pace.
A toothed wheel nudges a swinging bar first one way, then back the other way.
Each nudge lets one tooth escape, which gives the mechanism its name.
The tick that we hear is the sound of a tooth being caught.
The bar has no rhythm of its own, so friction and oil decide the speed.

## Early public clocks
| Town | Year | Known for |
| Milan | 1336 | striking equal hours |
| Strasbourg | 1354 | a mechanical rooster |
| Salisbury | 1386 | no dial, only a bell |
| Rouen | 1389 | the Gros-Horloge |
| Prague | 1410 | an astronomical dial |
The clock in Salisbury cathedral is often called the oldest that still works.
It was found again in 1928, forgotten in a tower, and later restored.
In Alsace an iron bird opened its beak, spread its wings and crowed.
It survives in a museum and is thought to be the oldest automaton in existence.
In Bohemia a golden ring of signs shows the Sun and the Moon moving through the zodiac.
Apostles parade above it at every full hour, while a skeleton rings a small bell.

~ gears
Gears had been cut long before, and far more finely than anyone suspected.
In 1901 divers brought up a lump of bronze from a wreck near the island of Antikythera.
It turned out to be a Greek computer of the heavens, with at least thirty toothed wheels.

## The mainspring
- Springs instead of weights: from about 1430
- A coiled spring weakens as it unwinds
- Fusee: a cone that evens out the pull
- Peter Henlein, Nuremberg: small watches, about 1510
A clock that hangs on a weight can never travel, and people wished to take time with them.
The answer was to store the force in a coiled band of steel.
Leonardo drew beautiful sketches of devices to tame that force.
A locksmith in southern Germany made clocks small enough to be worn round the neck.
They had a single hand, and their owners checked them against a sundial.
A watch in those days was jewellery first and a timekeeper second.

## Town life by the bell
- Equal hours replace hours that follow the seasons
- Paris, 1370: Charles V builds a clock for his palace
- Minute hands become usual only in the late 1600s
- Italian clocks counted to 24, northern ones to 12
When the hour came from a machine, it no longer stretched in summer.
Merchants liked this, because wages and markets could be set by the clock.
A king of France, it is said, wanted every church around him to ring with his own clock.
In the cloth towns, weavers fought bitterly over who controlled the work bell.
Schools began to divide the morning into lessons, and sermons were timed with a glass.
Punctuality, for the first time, became a virtue that one could measure.

# The pendulum #F08A8A

~ pendulum
The story goes that young Galileo watched a lamp swing in the cathedral of Pisa.
He timed it with his own pulse and found that wide and narrow swings took equally long.
That is almost true, and almost was enough to change everything.

## The law of the pendulum
- The period depends on the length, not on the mass
- 25 cm: one second there and back
- 99.4 cm: two seconds there and back
- Four times the length gives twice the period
Hang a ball from a thread and push it: it keeps its beat, however heavy it is.
What matters besides the thread is gravity, and gravity is not the same everywhere.
Near the equator it is weaker, and a clock brought there from Paris loses time.
Jean Richer noticed this in Cayenne in 1672: two and a half minutes a day.
Newton took it as proof that the Earth bulges in the middle.
So a clock had become an instrument for measuring the shape of the planet.

## Christiaan Huygens
- 1656: the idea of the pendulum clock
- 1657: Salomon Coster builds it in The Hague
- The daily error falls from 15 minutes to 15 seconds
- 1673: Horologium Oscillatorium is printed
Old and blind, Galileo described such a clock to his son, but it was never completed.
The first to make it work was a young Dutchman who had also discovered a moon of Saturn.
The gain was perhaps the greatest single leap in the history of clocks.
One day, ill in bed, he saw two clocks on the same beam fall into step with each other.
He called it an odd kind of sympathy; we call it synchronisation.
Fireflies that flash together follow much the same mathematics.

~ pendulum
Listen to the beat of a tall case clock: one second this way, one second that way.
The long pendulum needs only a small arc, so the case can be narrow.
The anchor escapement made this possible, and London makers sold such clocks from the 1670s.

## Heat, the hidden enemy
- Steel rod, one degree warmer: half a second slow a day
- George Graham, 1721: a jar of mercury as the bob
- John Harrison, 1726: a gridiron of brass and steel
- Charles Guillaume, 1896: Invar, an alloy with nickel
Metal stretches when it is warm, and a longer pendulum beats more slowly.
A London maker used quicksilver: it rises as the rod grows, and makes up the difference.
A carpenter from Lincolnshire let rods of two metals push against each other.
We shall meet this carpenter again, far out at sea.
A Swiss physicist later found an alloy that hardly grows at all.
It earned him the Nobel Prize for 1920, the year before Einstein's.

## The best pendulum ever built
- Shortt free pendulum, Edinburgh, 1921
- It swings in a vacuum; a second clock does the work
- Error: about one second a year
- About 100 were made
- Big Ben: one penny on the bob gains 0.4 s a day
A railway engineer named William Shortt gave the pendulum its last perfection.
His master swings alone in a copper tank and is touched only twice a minute.
An ordinary clock beside it, the slave, does all the counting and moves the hands.
For the first time a clock was steady enough to show irregularities in the turning Earth.
At Westminster, meanwhile, keepers still regulate the great clock with old coins.
Yet the reign of the swinging weight was nearly over.

# Longitude #7FE0D0

~ sunset
At sea there is no tower to strike the hour, and a wrong hour can drown a fleet.
In October 1707 four British warships were wrecked off the Isles of Scilly.
As many as two thousand men died, because nobody knew exactly where they were.

## Time is longitude
- The Earth turns 15 degrees in one hour
- One degree of longitude: four minutes of time
- One minute of time at the equator: 27.8 km
- Needed: the time at home and the local noon
Latitude is easy: you measure how high the Pole Star stands.
East and west have no such mark, because the whole sky turns past us.
If you know the hour at home while it is noon on deck, the difference tells you how far.
In theory a good clock is all that you need.
In practice salt, damp, heat and the roll of the ship ruined every clock ever taken aboard.
Newton himself doubted that such a timepiece could be made.

## The Longitude Act of 1714
- Within 1 degree: 10,000 pounds
- Within 2/3 of a degree: 15,000 pounds
- Within 1/2 of a degree: 20,000 pounds
- Test: a voyage to the West Indies
Parliament offered a fortune for a practical solution, and the proposals poured in.
One pamphlet wanted ships moored across the ocean to fire signal shots at midnight.
An older, wilder plan involved a wounded dog and a powder that acted at a distance.
Astronomers trusted the Moon, which moves among the stars like the hand of a dial.
For that method one needs good tables, a steady eye and a good deal of arithmetic.
The prize committee contained many astronomers and very few clockmakers.

~ sunset
Picture a navigator at dusk, waiting for the first stars to appear above the water.
For a few minutes only, he can see them and the horizon at once.
Beside him, in a padded box, lies the one object aboard that few others may touch.

## John Harrison's sea clocks
| Clock | Years of work | Weight |
| H1 | 1730-1735 | 34 kg |
| H2 | 1737-1739 | 39 kg |
| H3 | 1740-1759 | 27 kg |
| H4 | 1755-1759 | 1.45 kg |
Harrison was self-taught, and his first machine was as large as a piece of furniture.
He spent nineteen years on the third, inventing the bimetallic strip along the way.
Then he saw that the answer was not a big clock but a small one, beating fast.
The fourth looks like an oversized pocket watch and ticks five times a second.
On the voyage to Jamaica, his son William carried the watch and wound it every day.
After eighty-one days at sea Harrison's watch had lost no more than five seconds.

## A prize, late and in parts
- 1765: half of the reward
- 1772: George III tests the watch H5 himself
- 1773: Parliament pays 8,750 pounds
- 1775: James Cook returns with the copy K1
The Board was not satisfied; it asked for a second trial and then for all the drawings.
By God, Harrison, I will see you righted, the King is supposed to have said.
The old man was eighty before the account was settled.
On his long voyages Captain Cook called it our never-failing guide, the watch.
Chronometers soon became affordable; when the Beagle sailed with Darwin, it had twenty-two.
And Greenwich, where the charts began, began to lend its time to the whole world.

# Railway time #B7E08A

~ hills
A stagecoach was so slow that nobody minded if the next town kept another time.
Then, within one generation, trains crossed whole countries in an afternoon.
Suddenly a difference of ten minutes could mean a missed connection or a collision.

## Local time in Britain
- Noon in Bristol: ten minutes after London
- November 1840: Great Western Railway takes London time
- 1855: 98 percent of public clocks show Greenwich time
- 2 August 1880: it becomes law
- Bristol Corn Exchange: a clock with two minute hands
Each town had set its clocks by its own Sun, and the Sun reaches the west later.
The companies could not print a timetable in forty different times.
So they carried the capital's time along the line, at first on the watches of the guards.
From 1852 the telegraph brought the signal straight from the observatory.
Some places resisted, and the dean of Exeter would not change his cathedral clock for years.
In 1858 a judge had to decide whether ten o'clock meant the local ten or the railway's.

## Across America
- More than 50 different railway times
- 18 November 1883: the day of two noons
- Four zones in the United States, one hour apart
- Made federal law only in 1918
In Pittsburgh station, it is said, six clocks showed six different times.
On a Sunday in autumn the companies changed them all, without asking Congress.
In the eastern half of each zone the clocks were put back, so midday came twice.
A schoolmaster, Charles Dowd, had campaigned for the idea for more than a decade.
In Canada it was the engineer Sandford Fleming, after missing a train in Ireland.
The story says that his timetable had mixed up morning and evening.

~ hills
Outside the window the fields slide by; inside, a conductor looks at his watch.
In 1891 two trains met head-on at Kipton in Ohio, because one watch had stopped for a while.
Afterwards railway watches were inspected and had to keep within thirty seconds a week.

## The prime meridian
- Washington, October 1884: 25 nations meet
- Greenwich: 22 votes for, 1 against, 2 abstentions
- 72 percent of shipping already used its charts
- The universal day begins there at midnight
The world needed one line from which to count, and a conference had to choose it.
San Domingo said no; France and Brazil would not take sides.
Until 1911 the French kept Paris time, then defined it as Paris minus nine minutes or so.
The name of the London suburb was carefully left out of that law.
Opposite the line, in the Pacific, one calendar day meets the next.
Crossing it westward you lose a day; Phileas Fogg, going east, gained one.

## Odd zones of today
| Place | Hours from UTC |
| Nepal | +5:45 |
| India | +5:30 |
| Newfoundland | -3:30 |
| Chatham Islands | +12:45 |
| Line Islands | +14:00 |
Zones follow borders and politics more than they follow the Sun.
China is wide enough for five of them and uses a single one.
In the far west of that country the winter Sun may rise around ten in the morning.
Summer time was proposed by an insect collector in New Zealand who wanted light after work.
Germany and Austria were the first nations to adopt it, in 1916, to save coal in the war.
Samoa jumped across the date line in 2011 and had no thirtieth of December that year.

# Quartz #C9A7FF

~ city
A city at night runs on a beat that nobody sees: the alternating current in its wires.
Millions of kitchen clocks once did nothing but count its cycles.
In 2018 a dispute in the Balkans slowed the grid, and clocks in Europe ran six minutes late.

## The crystal that sings
- Piezoelectricity: Jacques and Pierre Curie, 1880
- Squeezed quartz gives a voltage
- A voltage, in turn, bends quartz
- First quartz clock: Bell Laboratories, 1927
Two brothers in Paris found that certain minerals turn pressure into electricity.
It works the other way round as well: a current makes them shiver.
Cut to the right shape, a piece shivers at one pitch and hardly at any other.
The first clocks of this kind were as big as a cupboard and full of radio valves.
By the nineteen-forties they had replaced the finest pendulums in the observatories.
They were good enough to reveal that the length of the day changes with the seasons.

## Inside a quartz watch
- A tuning fork of quartz, a few millimetres long
- The quartz in a watch vibrates 32,768 times a second
- That number is 2 to the power of 15
- Typical error: 15 seconds a month
The crystal in a wristwatch is about as long as a grain of rice.
It is trimmed by laser until it sings exactly one note, too high for any ear.
A chip halves that note again and again, until one step per second remains.
A tiny motor then moves the hand, and the battery lasts for years.
Warmth is again the enemy: the fork is right only at about the temperature of the wrist.
Leave the watch on a cold windowsill in winter, and it will lose.

~ city
Behind almost every one of those lit windows there are several quartz crystals.
Telephones, computers, cars and washing machines all keep one beating inside.
Several billion are made each year, most of them grown in pressure vessels of steel.

## The quartz revolution
- 25 December 1969: Seiko Astron, 450,000 yen
- 1972: Hamilton Pulsar, 2,100 dollars, red digits
- Swiss watch industry in 1970: 90,000 employees
- In 1988: 28,000 employees
- 1983: Swatch, made of 51 parts
On Christmas Day a Japanese company put the first such wristwatch on sale in Tokyo.
It cost as much as a small car, and a hundred were sold within a week.
Engineers in Neuchatel had a prototype of their own, but their industry did not hurry.
A craft that had grown over four centuries nearly vanished within two decades.
It was saved by a thin plastic watch that was cheap, cheerful and welded shut.
Mechanical watches survived as well, no longer as tools but as works of art.

## Time by telephone and radio
- 5 February 1924: six pips on the BBC
- 14 February 1933: the talking clock of Paris
- DCF77, the German time signal: 77.5 kHz
- On the air since 1959, heard 2,000 km away
In those days a woman called Ruth Belville sold the time in London from house to house.
She set her watch, which she called Arnold, at Greenwich and let customers look at it.
Her family kept the business going for about a hundred years.
In France, callers jammed the lines on the first day that a voice told them the hour.
Radio clocks in much of Europe listen to a long-wave mast near Frankfurt.
The message is slow, one bit each second, so setting a clock takes a minute or more.

# The atomic second #8AF0B0

~ aurora
The green of the northern lights is always precisely the same green.
It comes from oxygen atoms, high above us, and every oxygen atom is identical.
That sameness is what a perfect clock requires.

## Counting caesium
- One second since 1967: 9,192,631,770 periods
- Atom: caesium-133 in its ground state
- Louis Essen and Jack Parry, Teddington, 1955
- Error of their clock: one second in 300 years
James Clerk Maxwell had already suggested that atoms would make the best standards.
The idea had to wait for radar, which taught physicists to handle microwaves.
Essen had built quartz rings before the war and knew exactly what was wrong with them.
His apparatus sent a beam through a field and asked how many atoms had changed their state.
If the frequency drifts, fewer of them change, and a circuit pulls it back.
For three years they compared it with the Moon to fix the length of the new unit.

## Fountains of cold atoms
- Lasers cool a cloud to a millionth of a degree
- It is tossed upward by about one metre
- NIST-F1 in 1999, NIST-F2 in 2014
- F2: one second in 300 million years
A fast atom gives only a glimpse, so the next step was to slow it down.
Six beams of light squeeze a small cloud until it is almost at rest.
Then it is thrown like a ball, and gravity brings it back after a second.
The longer one looks, the more sharply the frequency is known.
Chu, Cohen-Tannoudji and Phillips were honoured in Stockholm for the cooling, in 1997.
The first standard of this kind worked in Paris, at the old observatory.

~ aurora
These curtains of light hang a hundred kilometres and more above the ground.
The red at their upper edge is oxygen too, where the air is so thin that atoms rarely meet.
An excited atom there waits nearly two minutes before it lets its red light go.

## Optical lattice clocks
- Strontium: 429 trillion oscillations a second
- Thousands of atoms in a grid of laser light
- Less than one second lost in 15 billion years
- One centimetre higher, and the clock runs faster
Light oscillates some forty thousand times faster than a microwave, so it cuts time finer.
What was missing was a gear that could count it, and the frequency comb became that gear.
Theodor Haensch and John Hall shared a Nobel Prize for it in 2005.
Such instruments feel the difference in gravity between your head and your feet.
Surveyors hope to use them to compare the heights of distant mountains.
They already beat the very definition of the second, which will soon have to change.

## One time for the world
- About 450 atomic clocks in more than 80 laboratories
- The average is computed at Sevres, near Paris
- UTC stays within 0.9 s of the turning Earth
- 27 leap seconds from 1972 to 2016
No single clock is the master, and the world's time is known only after the fact.
Each institute learns weeks later how far off its own clock was.
The planet is the worse timekeeper now: tides are slowing it down.
So every few years the last minute of a day was given sixty-one seconds.
In 2012 one of these knocked out a number of large websites.
A conference in 2022 decided to give up the practice by 2035.

# Clocks in orbit #6FC3FF

~ earth
From up here you see the whole planet turn, and the line of dawn sweep across it.
Above it fly more than a hundred satellites that tell your telephone where it is.
Each of them carries atomic clocks and does little else but announce the time.

## How GPS finds you
- Full system: at least 24 satellites
- Altitude: 20,200 km
- Two orbits a day
- One microsecond of error means 300 metres
A receiver listens to several senders and notes when each signal left.
The signals travel at the speed of light, so delay means distance.
Three distances would fix a point in space, if your own clock were perfect.
It is not, so a fourth one is used to solve for the time as well.
As a by-product you carry atomic time in your pocket.
Power grids, banks and telephone networks depend on it more than most people know.

## Relativity at work
- Speed: GPS clocks lose 7 microseconds a day
- Height: they gain 45 microseconds a day
- Net: GPS clocks run 38 microseconds fast per day
- Uncorrected: more than 10 km of error a day
Einstein showed that there is no universal time: a moving clock runs slow.
One deep in a gravitational field runs slow as well, so those above us run fast.
For navigation satellites, the second effect wins.
Some engineers were not convinced, so the test craft flew with a switch for the correction.
After about twenty days in orbit they turned it on, and it has been on ever since.
Every journey with a navigator is therefore a test of general relativity.

~ earth
Watch the border between light and dark: astronomers call it the terminator.
At the equator it moves at nearly one thousand seven hundred kilometres an hour.
From the space station you would see sixteen dawns in a single day.

## Famous flying clocks
| Experiment | Year | Height |
| Hafele and Keating | 1971 | airliners |
| Gravity Probe A | 1976 | 10,000 km |
| NIST, Boulder | 2010 | 33 cm |
| Tokyo Skytree | 2020 | 450 m |
Two scientists once took four caesium clocks around the world on scheduled flights.
The seats were booked, so the story goes, in the name of Mister Clock.
Flying east, the clocks came back younger by about sixty billionths of a second.
Flying west, they gained about two hundred and seventy billionths of a second.
A hydrogen maser on a rocket later confirmed the theory to one part in ten thousand.
Today two clocks on neighbouring shelves are enough to see it.

## Time on other worlds
- Mars: one day lasts 24 h 39 min 35 s
- Venus: one rotation takes 243 Earth days
- Jupiter: one rotation takes 9 h 56 min
- On the Moon, clocks gain 56 microseconds a day
Teams that drive rovers live by the other planet, and lunch comes forty minutes later daily.
A jeweller in California made mechanical watches for them that run slow on purpose.
On Venus the Sun rises in the west, because the planet spins backwards.
Astronauts on the lunar surface will soon need a time zone of their own.
In 2024 the White House asked NASA to prepare one.
A signal from Voyager travels for most of a day, so its news is always old.

# Clocks that nobody built #F2C6A0

~ forest
Not all clocks are made by people; some of them grow.
Each year a tree adds one ring, wide in a good summer and narrow in a bad one.
If you can read the pattern, you can date a beam to the year in which it was felled.

## Tree rings
- Founder: Andrew Ellicott Douglass, Arizona
- 1929: beam HH-39 joins two halves of the record
- German oak and pine: more than 12,000 years
- Prometheus, a bristlecone pine: 4,862 rings
The method was invented by an astronomer who hoped to find the cycles of the Sun.
Old roof beams from the pueblos let him reach back beyond any living tree.
A single charred log closed the gap, and dozens of ruins had dates overnight.
In 1964 a student in Nevada cut down a pine and found that it was the oldest ever known.
In the years 774 and 993, storms of particles from space left a mark in trees everywhere.
The later one dates the axe cuts of the Norse in Newfoundland: they were there in 1021.

## Radiocarbon and its cousins
- The half-life of carbon-14 is 5,730 years
- Potassium-40: 1.25 billion years
- Uranium-238: 4.47 billion years
- Willard Libby: Nobel Prize for chemistry, 1960
Living things take in a trace of radioactive carbon with every meal.
When they die the supply stops, and the trace fades at a rate that nothing can hurry.
Measure what remains, and you know how long ago death came.
The method reaches back about fifty thousand years; beyond that, too little is left.
It was first tested on wood from Egyptian tombs, whose age was already known.
For rocks one needs atoms that decay far more slowly.

~ canyon
In a canyon the layers lie like pages, and the oldest is at the bottom.
At the floor of the Grand Canyon the rock is nearly two billion years old.
James Hutton, reading such cliffs, saw no vestige of a beginning, no prospect of an end.

## Ice, mud and cave stone
- Ice core at Dome C, Antarctica: 3,270 metres deep
- It reaches back 800,000 years
- Lake Suigetsu, Japan: yearly layers of mud
- Stalagmites are dated with uranium and thorium
Each snowfall buries the last, and air is trapped between the flakes.
The bubbles are small samples of the atmosphere from before there were people like us.
Ash from a known eruption ties one core to another.
Lakes do something similar when spring brings algae and winter brings fine clay.
Caves add drip by drip, and their stones remember how wet the climate was.
None of these clocks is perfect alone, but they check each other.

## The age of everything
| Event | Years ago |
| The Universe | 13.8 billion |
| The Earth | 4.54 billion |
| End of the dinosaurs | 66 million |
| Homo sapiens | 300,000 |
| First wheel clocks | 700 |
Archbishop Ussher reckoned in 1650 that creation began on an evening in October, 4004 BC.
Three centuries later Clair Patterson weighed the lead in a meteorite and knew better.
If the Earth's past were one day, written history would be its last tenth of a second.
Yet it is in that tenth of a second that all our clocks were made.
From a stick in the sand to a lattice of light, the task has stayed the same.
Find something that repeats, count it well, and tell the others.
"""
