"""The source of one function, told from its neighbours, and the names that it needs."""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
import types

from comparisons._errors import is_library_file


class SnippetError(Exception):
    """Something of a comparison cannot be written down; the text says what."""


Function = ast.FunctionDef | ast.Lambda


def find_source(fn: types.FunctionType, hint: str) -> tuple[Function, str]:
    """The node and the dedented source of a function, told from its neighbours on one line."""
    code = fn.__code__
    try:
        lines, _ = inspect.findsource(code)
    except OSError:
        raise SnippetError(f"{hint} has no source") from None
    if is_library_file(code.co_filename):
        raise SnippetError(f"{hint} is made by {code.co_filename}, from another function")
    text = "".join(lines)
    # The place of everything that the code evaluates is within the node, and within its children
    # for those that contain it: so the smallest node that contains all of it is the function.
    spans = [
        (line, column)
        for line, _, column, end in code.co_positions()
        if line is not None and column is not None and end  # not the prologue's
    ]
    found: list[tuple[int, Function]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            body = node.body
            inside = [
                (body.lineno, body.col_offset) <= span
                and span <= (body.end_lineno or 0, body.end_col_offset or 0)
                for span in spans
            ]
            if inside and all(inside) and node.lineno <= code.co_firstlineno <= body.lineno:
                found.append((len(ast.unparse(node)), node))
        elif isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                found.append((0, node))
    if not found:
        raise SnippetError(f"the source of {hint} is not found in {code.co_filename}")
    node = min(found, key=lambda item: item[0])[1]
    source = ast.get_source_segment(text, node) or ""
    if isinstance(node, ast.FunctionDef):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        source = textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
    elif "\n" in source:  # a continued line needs its brackets
        source = f"({source})"
    return node, source.strip("\n")


def list_global_names(code: types.CodeType) -> set[str]:
    """Names that a function, and those in it, look up outside; not those that pytest adds."""
    names = {
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and instruction.argval.isidentifier()
    }
    inner = (value for value in code.co_consts if isinstance(value, types.CodeType))
    return names.union(*map(list_global_names, inner))


def list_names_outside(node: Function) -> set[str]:
    """Names in decorators and defaults, which are evaluated where the function is made."""
    outside = [*node.args.defaults, *(item for item in node.args.kw_defaults if item is not None)]
    if isinstance(node, ast.FunctionDef):
        outside += node.decorator_list
    return {child.id for part in outside for child in ast.walk(part) if isinstance(child, ast.Name)}
