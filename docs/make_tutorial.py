"""Runs the tutorial, and writes what it printed and drew: `python docs/make_tutorial.py`.

`tutorial.md` is the source. Its Python blocks run from top to bottom in one kernel; what a block
printed goes under it as a `text` block, what it drew into the SVG file that the picture under it
names. `tutorial.zh.md` has the same blocks and gets the same outputs. Each page is also written as
a notebook, with its outputs. Prose and blocks are edited in the two pages, and nothing else by
hand: a test compares all the files with what this program makes of them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from markdown_it import MarkdownIt
from markdown_it.token import Token
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from traitlets.config import Config

DOCS = Path(__file__).resolve().parent
EDITIONS = ("tutorial.md", "tutorial.zh.md")
SVG = "image/svg+xml"


@dataclass(frozen=True)
class Block:
    """A Python block, with the prose above it and the picture that may stand under it."""

    prose: str
    code: str
    picture: str = ""  # a line of Markdown: what to say where it cannot be seen, and the file
    alt: str = ""
    target: str = ""


@dataclass(frozen=True)
class Page:
    """A page without its outputs."""

    blocks: tuple[Block, ...]
    rest: str  # the prose after the last block

    @property
    def codes(self) -> list[str]:
        """The code of each block."""
        return [block.code for block in self.blocks]


@dataclass(frozen=True)
class Output:
    """What a block printed, and what it drew."""

    text: str = ""
    svg: str = ""


def read(text: str) -> Page:
    """Takes a page apart; the outputs that stand in it are dropped."""
    lines = text.splitlines(keepends=True)
    tokens = MarkdownIt().parse(text)
    blocks: list[Block] = []
    begin, at = 0, 0
    while at < len(tokens):
        token, at = tokens[at], at + 1
        if token.type != "fence" or token.info != "python":
            continue
        assert token.map is not None
        start, end = token.map
        if at < len(tokens) and tokens[at].type == "fence" and tokens[at].info == "text":
            end, at = _end_of(tokens[at]), at + 1
        picture = ("", "", "")
        if at < len(tokens) and tokens[at].type == "paragraph_open":
            picture = _find_picture(tokens[at + 1])
            end = _end_of(tokens[at]) if any(picture) else end
        blocks.append(Block("".join(lines[begin:start]).strip(), token.content, *picture))
        begin = end
    return Page(tuple(blocks), "".join(lines[begin:]).strip())


def _end_of(token: Token) -> int:
    assert token.map is not None
    return token.map[1]


def _find_picture(inline: Token) -> tuple[str, str, str]:
    """A paragraph that is nothing but a drawing: its line, its alternative text, its file."""
    first, *others = inline.children or []
    target = str(first.attrGet("src"))
    is_drawing = first.type == "image" and target.endswith(".svg") and not others
    return (inline.content, first.content, target) if is_drawing else ("", "", "")


def execute(codes: list[str]) -> list[Output]:
    """Runs blocks in one fresh kernel.

    Args:
        codes: The blocks, in their order.

    Returns:
        What each of them printed and drew.

    Raises:
        CellExecutionError: A block raised.
        RuntimeError: A block wrote to stderr, as a warning does, or ends with a value that is no
            drawing, which the page would not show.
    """
    notebook = new_notebook(cells=[new_code_cell(code) for code in codes])
    with TemporaryDirectory() as profile:  # no start-up files of the user's
        path = os.pathsep.join([str(DOCS.parent), os.environ.get("PYTHONPATH", "")])
        env = {"IPYTHONDIR": profile, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
        env |= {"IPYKERNEL_CELL_NAME": "block"}  # the file that a drawing's lines are in
        sockets = {"transport": "ipc", "connection_file": str(Path(profile, "kernel.json"))}
        config = Config({"KernelManager": sockets})
        client = NotebookClient(notebook, config=config, timeout=300, record_timing=False)
        client.execute(env=os.environ | env, cwd=profile)
    return [_read_outputs(cell) for cell in notebook.cells]


def _read_outputs(cell: Any) -> Output:
    text, svg = "", ""
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            text += output.text
        elif SVG in output.get("data", {}):
            svg += output.data[SVG].strip() + "\n"
        else:
            said = output.get("text") or output.get("data")
            raise RuntimeError(
                f"The page cannot show what this block gives.\n{cell.source}\n{said}"
            )
    return Output(text, svg)


def render_page(page: Page, outputs: list[Output]) -> str:
    """The page, each block with its output."""
    parts: list[str] = []
    for block, output in zip(page.blocks, outputs, strict=True):
        parts += [block.prose, f"```python\n{block.code}```"]
        parts += [f"```text\n{output.text}```"] if output.text else []
        parts += [block.picture] if block.picture else []
    return "\n\n".join(part for part in [*parts, page.rest] if part) + "\n"


def render_notebook(page: Page, outputs: list[Output]) -> str:
    """The page as an executed notebook; the drawings are its own outputs."""
    cells: list[Any] = []
    for number, (block, output) in enumerate(zip(page.blocks, outputs, strict=True), 1):
        if block.prose:
            cells.append(new_markdown_cell(block.prose, id=f"prose-{number}"))
        shown = [new_output("stream", name="stdout", text=output.text)] if output.text else []
        drawing = {SVG: output.svg, "text/plain": block.alt}
        shown += [new_output("display_data", drawing)] if output.svg else []
        code = block.code.strip()
        cells.append(
            new_code_cell(code, id=f"block-{number}", execution_count=number, outputs=shown)
        )
    if page.rest:
        cells.append(new_markdown_cell(page.rest, id="rest"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def make(pages: dict[str, str]) -> dict[str, str]:
    """Every file of the tutorial.

    Args:
        pages: The text of each edition by its file's name; the first one is run.

    Returns:
        The content of each file by its path from `docs/`.

    Raises:
        ValueError: An edition's blocks are not the first one's, or a drawing and the picture that
            shows it do not belong together.
    """
    read_pages = {name: read(text) for name, text in pages.items()}
    first, *others = read_pages
    for name in others:
        if read_pages[name].codes != read_pages[first].codes:
            raise ValueError(f"The blocks of {name} are not those of {first}.")
    outputs = execute(read_pages[first].codes)
    files: dict[str, str] = {}
    for name, page in read_pages.items():
        for block, output in zip(page.blocks, outputs, strict=True):
            if bool(block.target) != bool(output.svg):
                raise ValueError(
                    f"{name}: a drawing without a picture, or a picture without one: "
                    f"{block.picture or block.code}"
                )
            if output.svg:
                files[block.target] = output.svg
        files[name] = render_page(page, outputs)
        files[name.removesuffix(".md") + ".ipynb"] = render_notebook(page, outputs)
    return files


def main() -> None:
    """Writes all of it; says which files changed."""
    pages = {name: (DOCS / name).read_text(encoding="utf-8") for name in EDITIONS}
    for name, content in make(pages).items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(DOCS.parent)}\n")


if __name__ == "__main__":
    main()
