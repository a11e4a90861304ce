"""Beats that are not as usual, from the patterns that a network has on in them and from when they come.

What is usual is learned from the first part of a recording, without labels (`usual`); what is not makes events
(`detect`), also as a stream goes by (`stream`).
"""

from ecgcvx.anomalies.events import Detection, Event, detect

__all__ = ["Detection", "Event", "detect"]
