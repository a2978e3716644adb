"""The bar of a card: the image's layers, the newest ones marked."""

import base64
import re
import xml.dom.minidom

from workshop.show.growth import BASE, BELOW, NEW, Growth

GROWTH = Growth([60_000_000, 20_000_000, 0, 10_000_000, 10_000_000], base=2, new=1)


def widths(growth):
    found = re.findall(
        r'<rect x="[\d.]+" width="([\d.]+)" height="\d+" fill="(#\w+)"/>', growth.svg
    )
    return [(float(width), colour) for width, colour in found]


def test_the_base_is_one_part_and_what_stores_nothing_is_none():
    assert [(count, colour) for count, colour, _ in GROWTH.parts] == [
        (80_000_000, BASE),
        (10_000_000, BELOW),
        (10_000_000, NEW),
    ]


def test_lengths_are_shares_of_all_bytes():
    (base, _), (below, _), (new, _) = widths(GROWTH)
    assert below == new
    assert abs(base / below - 8) < 0.2


def test_a_layer_of_a_few_bytes_is_seen():
    assert widths(Growth([10**9, 12], base=1, new=1))[-1] == (1.0, NEW)


def test_as_text():
    assert GROWTH.text() == "░" * 48 + "▒" * 6 + "█" * 6 + "  100.0 MB"


def test_in_words():
    assert GROWTH.alt == "The image: the base image 80.0 MB, 2 layers 10.0 MB, this step 10.0 MB."
    assert Growth([5_000_000], 1, 0).alt == "The image: the base image 5.0 MB."
    changed = Growth([5_000_000, 1_000_000], 1, 1, "from this change on")
    assert changed.alt == "The image: the base image 5.0 MB, from this change on 1.0 MB."


def test_the_drawing_is_valid_and_its_alternative_is_the_words():
    html = GROWTH.html()
    assert f'alt="{GROWTH.alt}"' in html
    data = re.search(r"base64,([^\"]+)", html)[1]
    drawn = xml.dom.minidom.parseString(base64.b64decode(data))
    assert len(drawn.getElementsByTagName("rect")) == 3


def test_without_a_base_image():
    assert [colour for _, colour, _ in Growth([5, 6], 0, 2).parts] == [NEW, NEW]
    assert Growth([], 0, 0).parts == []
