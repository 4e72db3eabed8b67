"""Write the questions of the demo tasks, `config/tasks/data/<task>.jsonl`, from fixed seeds.

    python scripts/dev/generate_demo_tasks.py            rewrite the files
    python scripts/dev/generate_demo_tasks.py --check    compare instead; exit code 1 if a file differs

Only `Random.random()` is drawn: Python keeps its sequence for a given integer seed in every version, which
it does not promise for `choice` or `shuffle`. So the files are the same, byte for byte, everywhere.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")

SAMPLES = 200
DATA_DIR = Path(__file__).resolve().parents[2] / "config" / "tasks" / "data"


def _pairs(text: str, separator: str) -> tuple[tuple[str, str], ...]:
    """Read "a:b" entries; line breaks are nothing but spaces."""
    entries = [entry.strip().partition(":") for entry in " ".join(text.split()).split(separator)]
    return tuple((first, second) for first, _, second in entries)


# No word fits two of these categories (no orange, no cricket): an odd one out must be beyond doubt.
CATEGORIES: dict[str, tuple[str, ...]] = {
    category: tuple(words.split(" "))
    for category, words in _pairs(
        """
        animals:dog cat horse rabbit tiger lion elephant monkey sheep goat bear wolf zebra,
        fruits:apple banana grape lemon mango papaya pear strawberry melon pineapple blueberry coconut,
        vegetables:carrot potato onion spinach broccoli cabbage celery lettuce garlic turnip,
        colours:red blue green yellow purple brown black white pink grey crimson,
        clothes:shirt trousers jacket sweater skirt glove scarf dress sock coat blouse hat,
        tools:hammer screwdriver wrench chisel shovel drill pliers axe rake saw ladder,
        furniture:table chair sofa wardrobe bed desk bookcase stool cupboard bench armchair,
        vehicles:car bus train bicycle truck motorcycle airplane boat helicopter tram scooter,
        instruments:piano guitar violin trumpet flute drum cello harp clarinet saxophone banjo,
        body:arm leg nose mouth shoulder knee elbow finger ankle neck stomach thumb,
        weather:rain snow wind storm fog thunder lightning hail sunshine cloud tornado drizzle,
        kitchen:fork spoon knife plate cup bowl kettle saucepan oven teapot ladle,
        sports:football tennis basketball hockey rugby volleyball archery golf baseball wrestling,
        professions:doctor teacher lawyer farmer nurse carpenter engineer baker pilot dentist plumber,
        buildings:house school hospital church library castle museum hotel factory cottage palace,
        metals:iron copper aluminium zinc lead nickel titanium platinum tungsten uranium,
        numbers:one two three four five six seven eight nine ten eleven twelve,
        months:january february april june july august september october november december
        """,
        ",",
    )
}
WORDS: tuple[str, ...] = tuple(word for words in CATEGORIES.values() for word in words)

# (country, capital), without those where the seat of government or the name is in doubt.
CAPITALS = _pairs(
    """
    France:Paris, Germany:Berlin, Italy:Rome, Spain:Madrid, Portugal:Lisbon, Austria:Vienna, Belgium:Brussels,
    Denmark:Copenhagen, Sweden:Stockholm, Norway:Oslo, Finland:Helsinki, Iceland:Reykjavik, Ireland:Dublin,
    Poland:Warsaw, Hungary:Budapest, Romania:Bucharest, Bulgaria:Sofia, Greece:Athens, Croatia:Zagreb,
    Serbia:Belgrade, Slovenia:Ljubljana, Slovakia:Bratislava, Albania:Tirana, Estonia:Tallinn, Latvia:Riga,
    Lithuania:Vilnius, Belarus:Minsk, Russia:Moscow, Malta:Valletta, Cyprus:Nicosia, Turkey:Ankara,
    Armenia:Yerevan, Azerbaijan:Baku, Iran:Tehran, Iraq:Baghdad, Syria:Damascus, Lebanon:Beirut, Jordan:Amman,
    Qatar:Doha, Oman:Muscat, Bahrain:Manama, Saudi Arabia:Riyadh, Afghanistan:Kabul, Pakistan:Islamabad,
    India:New Delhi, Nepal:Kathmandu, Bhutan:Thimphu, Bangladesh:Dhaka, Thailand:Bangkok, Vietnam:Hanoi,
    Laos:Vientiane, Cambodia:Phnom Penh, Philippines:Manila, Japan:Tokyo, China:Beijing, South Korea:Seoul,
    North Korea:Pyongyang, Mongolia:Ulaanbaatar, Uzbekistan:Tashkent, Kazakhstan:Astana, Turkmenistan:Ashgabat,
    Australia:Canberra, New Zealand:Wellington, Fiji:Suva, Egypt:Cairo, Libya:Tripoli, Tunisia:Tunis,
    Algeria:Algiers, Morocco:Rabat, Sudan:Khartoum, Ethiopia:Addis Ababa, Kenya:Nairobi, Uganda:Kampala,
    Rwanda:Kigali, Somalia:Mogadishu, Zambia:Lusaka, Zimbabwe:Harare, Angola:Luanda, Namibia:Windhoek,
    Botswana:Gaborone, Mozambique:Maputo, Madagascar:Antananarivo, Ghana:Accra, Nigeria:Abuja, Senegal:Dakar,
    Mali:Bamako, Niger:Niamey, Canada:Ottawa, Cuba:Havana, Jamaica:Kingston, Costa Rica:San Jose,
    Honduras:Tegucigalpa, Nicaragua:Managua, Colombia:Bogota, Venezuela:Caracas, Ecuador:Quito, Peru:Lima,
    Brazil:Brasilia, Argentina:Buenos Aires, Uruguay:Montevideo, Paraguay:Asuncion, Chile:Santiago
    """,
    ",",
)

OPPOSITES = _pairs(
    """
    hot:cold, up:down, big:small, fast:slow, happy:sad, rich:poor, open:closed, day:night, old:new, hard:soft,
    high:low, light:dark, wet:dry, full:empty, strong:weak, early:late, loud:quiet, clean:dirty, near:far,
    left:right, good:bad, thick:thin, wide:narrow, deep:shallow, rough:smooth, cheap:expensive, safe:dangerous,
    true:false, start:finish, buy:sell, give:take, push:pull, win:lose, love:hate, laugh:cry, arrive:depart,
    remember:forget, inside:outside, above:below, before:after, always:never, more:less, alive:dead, tall:short,
    sweet:sour, friend:enemy, question:answer, success:failure, war:peace, north:south
    """,
    ",",
)


class Draw:
    """A seeded source of choices whose sequence does not depend on the Python version."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, limit: int) -> int:
        """Return one of 0, ..., limit - 1."""
        return int(self._random.random() * limit)

    def between(self, low: int, high: int) -> int:
        """Return one of low, ..., high, both included."""
        return low + self.below(high - low + 1)

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def take(self, items: Sequence[T], count: int) -> list[T]:
        """Return `count` different items in random order."""
        pool = list(items)
        return [pool.pop(self.below(len(pool))) for _ in range(count)]


class Item(NamedTuple):
    """A question and its only right answer."""

    question: str
    answer: str


def boolean_expression(draw: Draw) -> Item:
    """Three or four truth values joined by `and`, `or` and `not`, without parentheses."""
    terms = [("not " if draw.below(4) == 0 else "") + draw.pick(("True", "False")) for _ in range(draw.between(3, 4))]
    expression = terms[0]
    for term in terms[1:]:
        expression += f" {draw.pick(('and', 'or'))} {term}"
    value = any(all(_truth(term) for term in part.split(" and ")) for part in expression.split(" or "))
    return Item(f"Is this expression True or False? {expression}", str(value))


def _truth(term: str) -> bool:
    return term in ("True", "not False")


def arithmetic_2digit(draw: Draw) -> Item:
    """A sum or a difference, never negative, of two numbers of two digits."""
    first, second = draw.between(10, 99), draw.between(10, 99)
    if draw.below(2) == 0:
        return Item(f"What is {first} + {second}?", str(first + second))
    first, second = max(first, second), min(first, second)
    return Item(f"What is {first} - {second}?", str(first - second))


def word_sorting(draw: Draw) -> Item:
    """Three or four words to put in alphabetical order."""
    words = draw.take(WORDS, draw.between(3, 4))
    return Item(f"Sort these words alphabetically: {' '.join(words)}", " ".join(sorted(words)))


def letter_counting(draw: Draw) -> Item:
    """How often a letter occurs in a word: 0, 1 or 2 times."""
    while True:
        word, letter = draw.pick(WORDS), draw.pick("aeilnorst")
        if (count := word.count(letter)) <= 2:
            return Item(f'How many times does the letter "{letter}" occur in the word "{word}"?', str(count))


def last_letter(draw: Draw) -> Item:
    """The last letter of a word."""
    word = draw.pick(WORDS)
    return Item(f'What is the last letter of the word "{word}"?', word[-1])


def odd_one_out(draw: Draw) -> Item:
    """Three words of one category and one of another, to be named by its letter."""
    common, other = draw.take(list(CATEGORIES), 2)
    words = draw.take(CATEGORIES[common], 3)
    position = draw.below(4)
    words.insert(position, draw.pick(CATEGORIES[other]))
    choices = " ".join(f"({letter}) {word}" for letter, word in zip("ABCD", words, strict=True))
    return Item(f"Which word does not belong with the others? {choices}", "ABCD"[position])


def capitals(draw: Draw) -> Item:
    """The capital of a country, or the country of a capital."""
    country, capital = draw.pick(CAPITALS)
    if draw.below(2) == 0:
        return Item(f"What is the capital of {country}?", capital)
    return Item(f"{capital} is the capital of which country?", country)


def antonyms(draw: Draw) -> Item:
    """The opposite of a word, among three words that are given."""
    pair, *others = draw.take(OPPOSITES, 3)
    word, answer = draw.take(pair, 2)
    choices = draw.take([answer, *(draw.pick(other) for other in others)], 3)
    return Item(f'Which word is the opposite of "{word}": {", ".join(choices)}?', answer)


def next_number(draw: Draw) -> Item:
    """The fifth number of a sequence with a constant step."""
    start, step = draw.between(1, 30), draw.between(1, 10)
    shown = ", ".join(str(start + step * i) for i in range(4))
    return Item(f"Which number comes next? {shown}", str(start + step * 4))


def larger_number(draw: Draw) -> Item:
    """The larger one of two numbers of two or three digits."""
    first, second = draw.take(range(10, 1000), 2)
    return Item(f"Which number is larger, {first} or {second}?", str(max(first, second)))


class Task(NamedTuple):
    """How the file of one demo task is made.

    Attributes:
        seed: Start of its random sequence; changing it changes every question.
        make: Draws one question.
        per_answer: The most samples that may share an answer, so that a constant answer scores no better than chance.
    """

    seed: int
    make: Callable[[Draw], Item]
    per_answer: int = SAMPLES


TASKS: dict[str, Task] = {
    "boolean_expressions": Task(101, boolean_expression, per_answer=100),
    "arithmetic_2digit": Task(102, arithmetic_2digit),
    "word_sorting": Task(103, word_sorting),
    "letter_counting": Task(104, letter_counting, per_answer=67),
    "last_letter": Task(105, last_letter),
    "odd_one_out": Task(106, odd_one_out, per_answer=50),
    "capitals": Task(107, capitals),
    "antonyms": Task(108, antonyms),
    "next_number": Task(109, next_number),
    "larger_number": Task(110, larger_number),
}


def items(task: Task) -> list[Item]:
    """Return `SAMPLES` items with different questions."""
    draw = Draw(task.seed)
    found: dict[str, Item] = {}
    answers: Counter[str] = Counter()
    while len(found) < SAMPLES:
        item = task.make(draw)
        if item.question not in found and answers[item.answer] < task.per_answer:
            found[item.question] = item
            answers[item.answer] += 1
    return list(found.values())


def render(name: str) -> str:
    """Return the JSONL of a task: one object with `id`, `question`, `answer` per line."""
    rows = enumerate(items(TASKS[name]))
    return "".join(json.dumps({"id": f"{name}-{i:03d}", **item._asdict()}) + "\n" for i, item in rows)


def main(check: bool, data_dir: Path = DATA_DIR) -> int:
    """Write or compare the files; return the exit code.

    Args:
        check: Compare and write nothing.
        data_dir: Folder of the files.
    """
    wanted = {data_dir / f"{name}.jsonl": render(name).encode() for name in TASKS}
    differing = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    for path in differing:
        print(f"{'differs' if check else 'written'}: {path}")
        if not check:
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(wanted[path])
            temporary.replace(path)
    print(f"{len(wanted) - len(differing)} of {len(wanted)} files were as generated")
    return 1 if check and differing else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the questions of the demo tasks.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    sys.exit(main(parser.parse_args().check))
