"""Source text that makes a comparison again in a fresh interpreter."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import math
import pickle
import sys
import textwrap
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from comparisons._errors import is_library_file
from comparisons._source import (
    SnippetError,
    find_source,
    list_global_names,
    list_names_outside,
)

LITERAL_SIZE = 32  # arrays of up to this many elements are written out, others are saved


def write_snippet(
    jax_fn: Callable[..., Any],
    torch_fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    orders: Sequence[str],
    dtype: str,
    *,
    folder: Callable[[], Path],
    stem: str,
    modules: Iterable[types.ModuleType] = (),
    paths: Iterable[str] = (),
) -> str:
    """Writes a comparison down, so that a fresh interpreter comes to the same verdict.

    A function that can be imported is named, a lambda or a local function is written out with what
    it closes over. Large arrays, and objects that are no literals, are saved beside it.

    Args:
        jax_fn: The JAX function.
        torch_fn: The PyTorch function.
        inputs: As for ``compare``.
        orders: As for ``compare``.
        dtype: As for ``compare``.
        folder: Gives the folder for what is saved; called only if something is.
        stem: Of the names of the files in it.
        modules: Where functions may have names that they do not know of, e.g. the test's module.
        paths: Folders that imports of modules that are not installed need, beside their own.

    Returns:
        A Python program that prints the report.

    Raises:
        SnippetError: A function or an input can neither be imported nor written nor saved.

    Example:
        >>> print(write_snippet(abs, abs, (1.5,), ("value",), "float32", folder=Path, stem="a"))
        from __future__ import annotations
        import builtins
        import comparisons
        <BLANKLINE>
        inputs = (1.5,)
        print(comparisons.compare(
            builtins.abs, builtins.abs, inputs, orders=('value',), dtype='float32'
        ))
    """
    writer = _Writer(folder, stem, tuple(modules), tuple(paths))
    jax_name = writer.write(jax_fn, "jax_fn")
    torch_name = writer.write(torch_fn, "torch_fn")
    arguments = writer.write(inputs, "inputs")
    call = (
        f"inputs = {arguments}\nprint(comparisons.compare(\n    {jax_name}, {torch_name}, inputs, "
        f"orders={tuple(orders)!r}, dtype={dtype!r}\n))"
    )
    return "\n".join([*writer.write_head(), "", *writer.definitions, call])


class _Writer:
    """Gathers imports, definitions and saved arrays while values are written as expressions."""

    def __init__(
        self,
        folder: Callable[[], Path],
        stem: str,
        modules: tuple[types.ModuleType, ...],
        paths: tuple[str, ...],
    ):
        self.folder, self.stem, self.modules, self.paths = folder, stem, modules, paths
        self.imports = {"comparisons"}
        self.import_paths: dict[str, None] = {}
        self.definitions: list[str] = []
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.made: dict[int, str] = {}
        self.kept: list[Any] = []  # alive, so that no other object gets the id of one in `made`

    def write_head(self) -> list[str]:
        lines = ["from __future__ import annotations"]
        if self.import_paths:
            lines += ["import sys", f"sys.path[:0] = {list(self.import_paths)!r}"]
        lines += [f"import {module}" for module in sorted(self.imports)]
        if self.arrays:
            path = self.folder() / f"{self.stem}.npz"
            np.savez(path, allow_pickle=False, **cast("Any", self.arrays))
            lines.append(f"saved_arrays = numpy.load({str(path)!r})")
        return lines

    def write(self, value: Any, hint: str) -> str:
        """An expression for a value; ``hint`` is its name in words of the user."""
        if isinstance(value, types.ModuleType):
            return self.write_module(value, hint)
        if value is None or value is ... or type(value) in (bool, int, str, bytes):
            return repr(value)
        if type(value) in (float, complex):
            return self.write_number(value)
        if type(value) is dict:
            items = (
                f"{self.write(k, hint)}: {self.write(v, f'{hint}[{k!r}]')}"
                for k, v in cast("dict[Any, Any]", value).items()
            )
            return "{" + ", ".join(items) + "}"
        if type(value) in (tuple, list):
            items = [self.write(v, f"{hint}[{i}]") for i, v in enumerate(value)]
            if type(value) is list:
                return f"[{', '.join(items)}]"
            return f"({', '.join(items)}{',' * (len(items) == 1)})"
        top = type(value).__module__.partition(".")[0]
        if isinstance(value, np.ndarray | np.generic) or top in ("jax", "jaxlib", "torch"):
            array = _to_numpy(value)
            if array is not None:
                return self.write_array(array, value, top)
        if callable(value) or isinstance(value, functools.partial):
            return self.write_function(value, hint)
        return self.write_pickle(value, hint)

    def write_number(self, value: complex) -> str:
        if math.isfinite(value.real) and math.isfinite(value.imag):
            return repr(value)
        if isinstance(value, complex):
            return f"complex({self.write_number(value.real)}, {self.write_number(value.imag)})"
        self.imports.add("numpy")
        return "numpy.nan" if math.isnan(value) else ("numpy.inf" if value > 0 else "-numpy.inf")

    def write_array(self, array: np.ndarray[Any, Any], value: Any, top: str) -> str:
        self.imports.add("numpy")
        if array.size <= LITERAL_SIZE:
            text = f"numpy.array({self.write_elements(array)}, dtype={array.dtype.name!r})"
        else:
            name = f"a{len(self.arrays)}"
            self.arrays[name] = array
            text = f"saved_arrays[{name!r}]"
        if top in ("jax", "jaxlib"):
            self.imports.add("jax.numpy")
            return f"jax.numpy.asarray({text})"
        if top == "torch":
            self.imports.add("torch")
            dtype = str(value.dtype)
            cast_back = f".to({dtype})" if dtype == "torch.bfloat16" else ""
            grad = ".requires_grad_()" if value.requires_grad else ""
            return f"torch.tensor({text}){cast_back}{grad}"
        return text

    def write_elements(self, array: np.ndarray[Any, Any]) -> str:
        if array.ndim:
            return f"[{', '.join(self.write_elements(item) for item in array)}]"
        scalar = array[()]
        if array.dtype == np.float32 and np.isfinite(scalar):
            short = str(scalar)  # fewer digits than as a Python float
            return short if np.float32(float(short)) == scalar else repr(float(scalar))
        return self.write(array.item(), "")

    def write_function(self, fn: Any, hint: str) -> str:
        if id(fn) in self.made:
            return self.made[id(fn)]
        place = self.find_place(fn)
        if place is not None:
            return place
        if isinstance(fn, functools.partial):
            self.imports.add("functools")
            parts = [self.write(fn.func, hint), *(self.write(arg, hint) for arg in fn.args)]
            parts += [f"{name}={self.write(arg, hint)}" for name, arg in fn.keywords.items()]
            return f"functools.partial({', '.join(parts)})"
        if isinstance(fn, types.MethodType):
            return f"{self.write(fn.__self__, hint)}.{fn.__name__}"
        if type(fn).__name__ == "PjitFunction":
            self.imports.add("jax")
            return f"jax.jit({self.write(fn.__wrapped__, hint)})"
        if isinstance(fn, types.FunctionType):
            return self.write_local(fn, hint)
        return self.write_pickle(fn, hint)

    def find_place(self, fn: Any) -> str | None:
        """Where a fresh interpreter finds a function, as a qualified name."""
        name = getattr(fn, "__qualname__", getattr(fn, "__name__", ""))
        home = sys.modules.get(getattr(fn, "__module__", None) or "")
        if home is not None and "<" not in name and not _is_private(home):
            found: Any = home
            for part in name.split("."):
                found = getattr(found, part, None)
            if found is fn:
                return f"{self.write_module(home, name)}.{name}"
        for module in [*([home] if home and not _is_private(home) else []), *self.modules]:
            for known, value in vars(module).items():
                if value is fn and known.isidentifier():
                    return f"{self.write_module(module, known)}.{known}"
        # What a framework has in another place than where it says, such as torch.sin.
        name = getattr(fn, "__name__", "")
        public = [
            module.__name__
            for module in list(sys.modules.values())
            if isinstance(module, types.ModuleType)
            and vars(module).get(name) is fn
            and _is_installed(module)
            and not _is_private(module)
        ]
        if not public:
            return None
        shortest = min(public, key=lambda module: (len(module), module))
        self.imports.add(shortest)
        return f"{shortest}.{name}"

    def write_module(self, module: types.ModuleType, hint: str) -> str:
        name = module.__name__
        if name == "__main__":
            raise SnippetError(f"{hint} is defined in the program that is run")
        file = getattr(module, "__file__", None)
        if file is not None and not is_library_file(file):
            path = Path(file).resolve()
            parts = path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts
            own = name.split(".")
            if list(parts[-len(own) :]) != own:
                raise SnippetError(f"{hint} is in {file}, which is no module by its own name")
            root = str(Path(*parts[: -len(own)]))
            self.import_paths |= dict.fromkeys([root, *self.paths])
        self.imports.add(name)
        return name

    def write_local(self, fn: types.FunctionType, hint: str) -> str:
        """A lambda or a function made in another one: its source, and what it refers to."""
        maker = f"make_{hint if hint.isidentifier() else 'function'}_{len(self.definitions)}"
        place = len(self.definitions)
        self.definitions.append(maker)
        result = self.made[id(fn)] = f"{maker}()"
        self.kept.append(fn)
        node, source = find_source(fn, hint)
        known = {**fn.__globals__, **inspect.getclosurevars(fn).nonlocals}
        evaluated = list_names_outside(node)  # where it is made, of which only globals are known
        modules: list[str] = []  # first: a name that is bound anywhere is unknown above
        others: list[str] = []
        for name in sorted({*fn.__code__.co_freevars, *list_global_names(fn.__code__), *evaluated}):
            if known.get(name, ...) is fn:
                continue
            if name in known:
                lines = modules if isinstance(known[name], types.ModuleType) else others
                lines.append(self.bind(name, known[name]))
            elif not hasattr(builtins, name) and name in evaluated:
                raise SnippetError(f"{hint} needs {name!r} where it is defined")
        named = [f"return {source}"]
        if isinstance(node, ast.FunctionDef):
            named = [*source.splitlines(), f"return {node.name}"]
        body = textwrap.indent("\n".join([*modules, *others, *named]), "    ")
        self.definitions[place] = f"def {maker}():\n{body}\n"
        return result

    def bind(self, name: str, value: Any) -> str:
        expression = self.write(value, name)
        if isinstance(value, types.ModuleType):
            plain = "." not in expression and expression == name
            return f"import {expression}" if plain else f"import {expression} as {name}"
        return f"{name} = {expression}"

    def write_pickle(self, value: Any, hint: str) -> str:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        try:
            data = pickle.dumps(value)
        except Exception as error:  # whatever an object's own methods raise
            raise SnippetError(f"{hint} is a {kind}, which cannot be pickled") from error
        home = sys.modules.get(type(value).__module__)
        if home is not None:
            self.write_module(home, hint)
        path = self.folder() / f"{self.stem}-{len(self.kept)}.pickle"
        path.write_bytes(data)
        self.imports |= {"pickle", "pathlib"}
        result = f"pickle.loads(pathlib.Path({str(path)!r}).read_bytes())"
        self.made[id(value)] = result
        self.kept.append(value)
        return result


def _is_private(module: types.ModuleType) -> bool:
    """Whether a module of others is not for us to import, such as jax._src.nn.functions."""
    private = any(part.startswith("_") for part in module.__name__.split("."))
    return private and _is_installed(module)


def _is_installed(module: types.ModuleType) -> bool:
    return is_library_file(getattr(module, "__file__", None) or "<built in>")


def _to_numpy(value: Any) -> np.ndarray[Any, Any] | None:
    """An array or a tensor as NumPy has it, bfloat16 as float32; None for anything else."""
    if hasattr(value, "detach") and hasattr(value, "requires_grad"):
        value = value.detach().cpu()
        value = (value.float() if "bfloat16" in str(value.dtype) else value).numpy()
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # a key of jax.random, or a tracer
        return None
    array = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
    return array if array.dtype.kind in "biufc" else None
