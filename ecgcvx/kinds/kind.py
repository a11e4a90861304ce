"""What a network kind is: its options, and how windows become a training problem."""

from typing import ClassVar


class NetworkKind:
    """A network that ecgcvx trains."""

    name: ClassVar[str]
