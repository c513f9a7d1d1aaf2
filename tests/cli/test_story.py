"""The demo notices when an answer is not what the story says."""

from typing import Any

import pytest

from latchwork.cli.story import Step, holds


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"a": 1, "b": 2}, {"a": 1}),
        ({"a": {"b": [{"c": 1, "d": 2}]}}, {"a": {"b": [{"c": 1}]}}),
        ({"a": "anything"}, {"a": ...}),
        ({"a": "demo_x"}, {"a": lambda text: text.startswith("demo_")}),
        ({}, {}),
    ],
)
def test_an_answer_may_hold_more_than_was_wanted(found: Any, wanted: Any) -> None:
    assert holds(found, wanted)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"a": 1}, {"a": 2}),
        ({}, {"a": ...}),
        ({"a": None}, {"a": {"b": 1}}),
        ({"a": [1, 2]}, {"a": [1]}),
        ({"a": {}}, {"a": []}),
        ({"a": "x"}, {"a": lambda text: text.startswith("demo_")}),
        (None, {}),
    ],
)
def test_an_answer_that_lacks_something_is_noticed(found: Any, wanted: Any) -> None:
    assert not holds(found, wanted)
    assert not Step("title", "/path", {}, found, wanted).came_true
