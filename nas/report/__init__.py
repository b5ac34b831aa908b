"""`nas report`: runs as one HTML file that needs no network. Nothing here imports torch."""

from nas.report.data import report_data
from nas.report.page import render

__all__ = ["render", "report_data"]
