"""Reports: plain data, one document tree made from it, and its renderers.

Importing this package is cheap: rich, Jinja, Pygments and Matplotlib are imported when a renderer
that needs them is used.
"""

from comparisons.report._json import SCHEMA as SCHEMA
from comparisons.report._report import Report as Report

__all__ = ["SCHEMA", "Report"]
