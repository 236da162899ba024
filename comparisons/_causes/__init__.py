"""Known causes of a disagreement: a catalogue, and a search that tries what it recognises.

_known.py       what an entry is made of, and the ways to substitute
_search.py      find_causes
_patch.py       other functions in place of JAX's public ones, at the user's calls
_references.py  where the user's program refers to them
_rewrite.py     other equations in the program that a function traces to
_ends.py        other inputs, other outputs
catalogue/      the entries, by topic
"""

from __future__ import annotations

from comparisons._causes._known import Found as Found
from comparisons._causes._known import Known as Known
from comparisons._causes._search import find_causes as find_causes
from comparisons._causes.catalogue import CATALOGUE as CATALOGUE

__all__ = ["CATALOGUE", "Found", "Known", "find_causes"]
