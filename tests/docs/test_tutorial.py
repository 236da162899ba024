"""The tutorial is what its code does, and its two editions and its notebooks are one."""

import dataclasses
import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt
from nbclient.exceptions import CellExecutionError

from comparisons._discovery import load_shipped_cases

DOCS = Path(__file__).parents[2] / "docs"
CASE = re.compile(r"`(tutorial/\w+/\w+)`")
PAGES = {
    name: (DOCS / name).read_text(encoding="utf-8") for name in ("tutorial.md", "tutorial.zh.md")
}


def load_program():
    spec = importlib.util.spec_from_file_location("make_tutorial", DOCS / "make_tutorial.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the annotations' names
    spec.loader.exec_module(module)
    return module


program = load_program()


def read_stored():
    """All files of the tutorial, as they lie in docs/."""
    paths = [*DOCS.glob("tutorial*.*"), *(DOCS / "tutorial").iterdir()]
    return {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_every_file_is_what_the_program_makes_of_the_pages():
    """All of the tutorial runs for this, so the other tests read what is stored."""
    made, stored = program.make(PAGES), read_stored()
    assert made.keys() == stored.keys()
    assert [name for name in made if made[name] != stored[name]] == [], (
        "run `python docs/make_tutorial.py`"
    )


def test_the_files_hold_what_they_should():
    """Each chapter has its drawing, each edition its notebook with all that was printed."""
    stored = read_stored()
    drawings = [content for name, content in stored.items() if name.endswith(".svg")]
    assert len(drawings) >= 4
    assert all(ET.fromstring(drawing).tag.endswith("svg") for drawing in drawings)
    for name, text in PAGES.items():
        notebook = nbformat.reads(stored[name.removesuffix(".md") + ".ipynb"], as_version=4)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.source for cell in cells] == [c.strip() for c in program.read(text).codes]
        outputs = [output for cell in cells for output in cell.outputs]
        printed = [o.text for o in outputs if o.output_type == "stream"]
        assert printed == [t.content for t in MarkdownIt().parse(text) if t.info == "text"]
        assert len(printed) > 20
        drawn = [o.data for o in outputs if o.output_type == "display_data"]
        assert {data["image/svg+xml"] for data in drawn} == set(drawings)
        assert all(f"![{data['text/plain']}](" in text for data in drawn)


def test_nothing_of_the_machine_is_in_them():
    """No address, no path, no id of a kernel."""
    found = re.compile(r"\b0x[0-9a-f]{6,}|/tmp/|/home/|/root/|ipykernel|[\w-]+/site-packages")
    stored = read_stored()
    assert {name: m[0] for name, text in stored.items() if (m := found.search(text))} == {}


def outline(text):
    """What two editions have in common: the order of a page's parts, without its prose."""
    parts, tokens = [], MarkdownIt().enable("table").parse(text)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open":
            number = re.match(r"[\d.]*", following.content)[0]
            parts.append((token.tag, number))
        elif token.type == "fence":
            parts.append((token.info, token.content))
        elif token.type == "inline":
            children = token.children or []
            parts += [(c.type, c.attrGet("src")) for c in children if c.type == "image"]
            parts += [("case", name) for name in CASE.findall(token.content)]
        elif token.type.endswith("_open"):
            parts.append((token.type, token.level))
    return parts


def test_the_two_editions_correspond():
    english, chinese = map(outline, PAGES.values())
    assert english == chinese


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("### 2.1", "### 2.2", 1),
        lambda text: text.replace("print(error)", "print(str(error))", 1),
        lambda text: text.replace("False True True", "False True", 1),
        lambda text: text.replace("`tutorial/concepts/detach`", "`tutorial/concepts/backward`", 1),
        lambda text: text.replace("tutorial/control.svg", "tutorial/concepts.svg", 1),
        lambda text: re.sub(r"^> .*\n", "", text, count=1, flags=re.MULTILINE),
        lambda text: re.sub(r"^\| `x`.*\n", "", text, count=1, flags=re.MULTILINE),
    ],
    ids=["number", "code", "output", "case", "picture", "paragraph", "row"],
)
def test_an_edition_that_lags_behind_is_seen(change):
    page = PAGES["tutorial.zh.md"]
    assert change(page) != page
    assert outline(change(page)) != outline(page)


def test_the_chinese_edition_is_chinese():
    """No paragraph was left in English."""
    for token in MarkdownIt().parse(PAGES["tutorial.zh.md"]):
        prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", token.content if token.type == "inline" else "")
        if re.search(r"[A-Za-z]{3,}(\W+[A-Za-z]{2,}){4}", prose):
            pytest.fail(f"untranslated: {prose}")


def test_the_page_leads_to_every_case():
    cases = {case.name for case in load_shipped_cases() if case.name.startswith("tutorial/")}
    assert cases == set(CASE.findall(PAGES["tutorial.md"]))


def test_the_leaf_table_is_what_was_printed():
    """Its two columns, against what PyTorch said of its tensors and the graph of its nodes."""
    page = PAGES["tutorial.md"]
    printed = re.findall(r"^(\S+) +is_leaf=(\w+) +requires_grad=(\w+)$", page, re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\| (\w+) \| (\w+) \|", page, re.MULTILINE)
    assert [row[0] for row in rows] == ["x", "w", "b", "h", "loss"]
    assert printed[:5] == rows
    names = {"params/w": "w", "params/b": "b", "output": "loss"}
    assert [(names.get(name, name), *flags) for name, *flags in printed[5:]] == rows


def page_of(*blocks):
    return "# 1\n\n" + "\n\n".join(f"```python\n{block}\n```" for block in blocks) + "\n"


def test_a_stale_output_is_replaced_and_a_missing_one_added():
    drawing = "from IPython.display import SVG\nSVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')"
    first = page_of("x = 1\nprint(x)", "x += 1", "print(x)", drawing)
    first += "\n![A picture](tutorial/a.svg)\n\nThe end.\n"
    made = program.make({"page.md": first})
    assert re.findall(r"```text\n(.*?)```", made["page.md"], re.DOTALL) == ["1\n", "2\n"]
    assert made["page.md"].endswith("![A picture](tutorial/a.svg)\n\nThe end.\n")
    assert made["tutorial/a.svg"].startswith("<svg")
    stale = made["page.md"].replace("```text\n1\n", "```text\n3\n")
    assert stale != made["page.md"]
    assert program.make({"page.md": stale}) == made


@pytest.mark.parametrize(
    ("block", "error", "said"),
    [
        ("print(1 / 0)", CellExecutionError, "ZeroDivisionError"),
        ("import warnings\nwarnings.warn('old')", RuntimeError, "old"),
        ("40 + 2", RuntimeError, "42"),
    ],
    ids=["error", "warning", "value"],
)
def test_what_a_page_cannot_show_is_refused(block, error, said):
    with pytest.raises(error, match=said):
        program.make({"page.md": page_of(block)})


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="a picture without one"):
        program.make({"page.md": page_of("x = 1") + "\n![Nothing](tutorial/nothing.svg)\n"})


def test_editions_with_other_blocks_are_refused():
    with pytest.raises(ValueError, match=r"The blocks of b\.md are not those of a\.md\."):
        program.make({"a.md": page_of("x = 1"), "b.md": page_of("x = 2")})


def test_a_block_belongs_to_its_prose():
    page = program.read("Before.\n\n```python\nx = 1\n```\n\n```text\nold\n```\n\nAfter.\n")
    assert [dataclasses.astuple(block) for block in page.blocks] == [
        ("Before.", "x = 1\n", "", "", "")
    ]
    assert page.rest == "After."
