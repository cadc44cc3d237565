"""What people wrote is shown in a card as text: no markup, no HTML, no link, no image comes of it."""

import dataclasses
from typing import Any

import pytest
from huggingface_hub import ModelCard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hub.test_card import FACTS
from optimum_ose.hub.card import build_model_card
from optimum_ose.hub.facts import Carbon, CardFacts
from optimum_ose.hub.markdown import as_text
from optimum_ose.wording import one_line

NASTY = "<img src=x onerror=alert(3)> [l](javascript:1) ![i](http://evil.org/i.png) 'b' --- | {{7}} &lt;b&gt; `c` **d**"
MARKUP = r"<script> </a> <!-- ![ ]( [x]: http://e.org www.e.org | --- # - * _ ` ``` ~~ $$ &amp; \ {{7}} {% 1. >"
PIECES = st.sampled_from([*MARKUP.split(" "), "\n", " ", "a", "\x1b[31m", "\u202e"])
TEXTS = (
    st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=12)
    .map("".join)
    .filter(str.strip)
)
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
OURS = {"https://huggingface.co/them/large", "ose/pareto.png"}


def tokens(markdown: str) -> list[Token]:
    return [inner for token in RENDERER.parse(markdown) for inner in [token, *(token.children or ())]]


def structure(markdown: str) -> list[tuple[object, ...]]:
    """All that is not text."""
    kinds = ((token.type, token.attrs.get("href"), token.attrs.get("src")) for token in tokens(markdown))
    return [kind for kind in kinds if kind[0] not in ("text", "text_special", "inline", "softbreak")]


def card_of(text: str) -> str:
    machine = {"cpu": text, "cpu_flags": [text]}
    return build_model_card(
        dataclasses.replace(
            FACTS,
            model_name=text,
            license=text,
            license_name=text,
            license_link=text,
            languages=(text,),
            dataset_name=text,
            labels=(text, text),
            certificate=text,
            latency_sentences=(text,),
            training=(text,),
            carbon=Carbon(grams=1.0, source=text, hardware=text, location=text),
            versions={text: text},
            benchmark={**FACTS.benchmark, "machine": machine},
            num_rows={text: 3},
        )
    )


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
@example(text=NASTY)
def test_no_text_becomes_markup_in_a_card(text: str) -> None:
    plain = card_of("plain")
    card = card_of(text)
    found, expected = (structure(ModelCard(content).text) for content in (card, plain))
    assert found == expected
    assert {link for _, *links in found for link in links if link} <= OURS


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
@example(text=NASTY)
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    (paragraph,) = [token for token in RENDERER.parse(f"x {as_text(text)}") if token.type == "inline"]
    assert "".join(child.content for child in paragraph.children or ()) == f"x {one_line(text)}".rstrip()


@settings(max_examples=100, deadline=None)
@given(text=TEXTS)
@example(text=NASTY)
def test_the_metadata_holds_texts_as_text(text: str) -> None:
    data = ModelCard(card_of(text)).data
    assert data.pipeline_tag == "text-classification"
    assert data.to_dict().get("license_name") == " ".join(text.split())


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd"])
def test_a_license_is_linked_to_on_the_web_or_in_the_repository_alone(link: str) -> None:
    def linked(value: str) -> Any:
        facts = dataclasses.replace(FACTS, license="other", license_link=value)
        return ModelCard(build_model_card(facts)).data.to_dict().get("license_link")

    assert linked(link) is None
    assert linked("LICENSE") == "LICENSE"
    assert linked("https://example.org/terms") == "https://example.org/terms"


def test_no_address_in_a_text_becomes_a_link_by_itself() -> None:
    shown = as_text("see http://evil.org, www.evil.org or me@evil.org, @me")
    assert not any(address in shown for address in ("http://", "www.", "@"))


def test_templates_are_not_evaluated() -> None:
    assert "{{7*7}}" in build_model_card(CardFacts(model_name="{{7*7}}")).replace("\\", "")


def test_a_label_that_no_file_can_hold_does_not_end_a_run() -> None:
    card = card_of("a\ud800b")
    assert ModelCard(card.encode().decode()).data.to_dict()["license_name"] == r"a\ud800b"
