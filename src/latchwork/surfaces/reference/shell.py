"""What every page of the reference has around its content: head, tabs, and a list that can be filtered."""

from collections.abc import Sequence
from typing import NamedTuple

from latchwork.surfaces.reference.markup import Html, join, tag


class Tab(NamedTuple):
    """One of the pages that can be switched between."""

    title: str
    href: str
    current: bool


class Entry(NamedTuple):
    """One line of the list: where it leads, and the words by which it is found."""

    label: str | Html
    href: str
    words: str
    current: bool = False


class Shell(NamedTuple):
    """A page without its content. `noun` is what the list holds, in the singular: `procedure`."""

    title: str
    version: str
    noun: str
    tabs: Sequence[Tab]
    groups: Sequence[tuple[str, Sequence[Entry]]]

    def around(self, content: Html) -> bytes:
        """The whole page in UTF-8."""
        head = tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", self.title),
            tag("link", rel="stylesheet", href="/docs/reference.css"),
            tag("script", src="/docs/reference.js", defer=True),
        )
        skip = tag("a", "Skip to the content", href="#content", class_="skip")
        body = tag("body", skip, self._sidebar(), tag("main", content, id="content"))
        return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n".encode()

    def _sidebar(self) -> Html:
        tabs = [
            tag("a", t.title, href=t.href, aria_current="page" if t.current else False) for t in self.tabs
        ]
        words = f"Find {_article(self.noun)} {self.noun}"
        find = tag("input", type="search", id="find", placeholder=words, aria_label=words)
        groups = [
            tag("section", tag("h2", name), tag("ul", [_line(entry) for entry in entries]))
            for name, entries in self.groups
        ]
        switch = tag("button", "Theme", type="button", id="theme", hidden=True)
        top = tag("div", tag("strong", "Latchwork"), tag("span", self.version), switch, class_="brand")
        nothing = tag("p", "Nothing by that name.", id="nothing", hidden=True)
        lists = tag("div", groups, nothing, class_="groups")
        return tag(
            "nav", top, tag("div", tabs, class_="tabs"), find, lists, aria_label=f"{self.noun}s".capitalize()
        )


def copyable(title: str, text: str, kind: str) -> Html:
    """A block of code with a button that copies it."""
    button = tag("button", "Copy", type="button", class_="copy", hidden=True)
    code = tag("pre", tag("code", text, class_=kind))
    return tag("figure", tag("figcaption", title, button), code)


def _line(entry: Entry) -> Html:
    current = "page" if entry.current else False
    link = tag("a", join(entry.label), href=entry.href, aria_current=current)
    return tag("li", link, data_words=entry.words.lower())


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
