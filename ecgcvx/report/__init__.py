"""The report on a fitted network: one HTML file that needs no other, offline, for phone, desk and paper.

page      report_html(reading, training, ...) -> str, and write_report
training  what the folder of a fit tells of the training
figures   the figures of a pattern
beats     mean beat and forecast strip on ECG paper
paper     ECG paper; drawing: charts; markup: elements escaped by construction
words     numbers and certificates in words; methods: for a paper; text: what is the same in every report
sections  patterns, beats, what recurs, one forecast
"""

from ecgcvx.report.page import report_html, write_report
from ecgcvx.report.training import Training, read_training, report_path, training_of

__all__ = ["Training", "read_training", "report_html", "report_path", "training_of", "write_report"]
