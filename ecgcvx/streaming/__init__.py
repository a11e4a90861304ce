"""Forecasts of a signal as it comes: sample by sample or in chunks, one channel or thousands."""

from ecgcvx.streaming.predictor import Step, Steps, StreamPredictor

__all__ = ["Step", "Steps", "StreamPredictor"]
