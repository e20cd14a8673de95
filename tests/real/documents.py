"""The commands and files of a document, read from its fenced blocks, so that what is documented is what is checked."""

import pathlib
import re

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
# A block that no check can run says why, in a comment on the line before it.
NOT_RUN = re.compile(r"<!-- not run here: .+ -->\n *$")
# The name of the file that a block shows: the last words in backquotes before it.
NAMED = re.compile(r"`([\w.-]+\.json)`[^`]*$")


class Block:
    def __init__(self, language, text, before):
        self.language, self.text = language, text
        self.is_run = not NOT_RUN.search(before)
        name = NAMED.search(before)
        self.file = name and name[1]


def section(name, heading):
    """The text below `heading`, up to the next heading of its level or a higher one."""
    text = (DOCS / name).read_text()
    level = heading.split(" ")[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{2,{len(level)}}} |\Z)", text, re.M | re.S)
    if not found:
        raise LookupError(f"`{name}` has no heading `{heading}`")
    return found[1]


def blocks(name, heading=None):
    """Every block below `heading`, or of the whole document."""
    text = section(name, heading) if heading else (DOCS / name).read_text()
    return [Block(hit["language"], dedent(hit), text[: hit.start()]) for hit in FENCE.finditer(text)]


def dedent(hit):
    return re.sub(rf"^{hit['indent']}", "", hit["text"], flags=re.M)


def commands(name, heading):
    """Every command below `heading` that is to be run, as one shell script."""
    return "".join(block.text for block in blocks(name, heading) if block.language == "sh" and block.is_run)


def files(name, heading):
    """{file name: text} of what the reader is told to write."""
    return {block.file: block.text for block in blocks(name, heading) if block.language == "json" and block.file}
