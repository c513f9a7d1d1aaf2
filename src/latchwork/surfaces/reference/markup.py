"""HTML built from values: text is escaped where it enters, so nothing has to be trusted later."""

import re
from collections.abc import Iterable
from html import escape

_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(((?:https?:/)?/[^)\s]*|#[^)\s]*)\)")
_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_VOID = frozenset({"input", "link", "meta"})


class Html(str):
    """Markup, not text: it is written as it is."""

    __slots__ = ()


Content = str | Iterable["Content"] | None


def tag(name: str, /, *content: Content, **attributes: str | bool) -> Html:
    """An element. `class_` and `for_` lose their underscore, other underscores become hyphens.

    An attribute of `False` is left out, one of `True` has no value.
    """
    opening = f"<{name}{''.join(_attribute(n, v) for n, v in attributes.items() if v is not False)}>"
    return Html(opening if name in _VOID else f"{opening}{join(content)}</{name}>")


def join(content: Content) -> Html:
    """Any nesting of markup and text as one piece of markup; text is escaped."""
    if content is None:
        return Html()
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return Html(escape(content))
    return Html("".join(join(part) for part in content))


def prose(text: str) -> Html:
    """The Markdown that descriptions use: paragraphs, lists, fences, code, bold and links."""
    blocks: list[Html] = []
    position = 0
    for fence in _FENCE.finditer(text):
        blocks += _paragraphs(text[position : fence.start()])
        blocks.append(tag("pre", tag("code", fence[1].rstrip())))
        position = fence.end()
    return join(blocks + _paragraphs(text[position:]))


def inline(text: str) -> Html:
    """One run of Markdown text without blocks."""
    parts: list[Content] = []
    position = 0
    for found in _INLINE.finditer(text):
        parts += [text[position : found.start()], _styled(found)]
        position = found.end()
    return join([*parts, text[position:]])


def _attribute(name: str, value: str | bool) -> str:
    shown = name.rstrip("_").replace("_", "-")
    return f" {shown}" if value is True else f' {shown}="{escape(str(value))}"'


def _paragraphs(text: str) -> list[Html]:
    blocks = [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()]
    return [_list(block) if block.startswith("- ") else tag("p", inline(block)) for block in blocks]


def _list(block: str) -> Html:
    items = re.split(r"^- ", block, flags=re.MULTILINE)[1:]
    return tag("ul", [tag("li", inline(item.strip())) for item in items])


def _styled(found: re.Match[str]) -> Html:
    code, bold, label, target = found.groups()
    if code is not None:
        return tag("code", code)
    return tag("strong", bold) if bold is not None else tag("a", label, href=target)
