"""Makes the book and publishes."""

from __future__ import annotations

import os

from ..protocol import Profile, ProtocolError

__all__ = ["begin"]


def begin(profile: str, overrides: str = "") -> Profile:
    """Read what a command is asked for, and let this process and those it starts compute on the device named there.

    Raises
    ------
    ProtocolError
        At a bad word, and at a CUDA GPU where there is none.
    """
    asked = Profile.read(profile, overrides)
    if asked.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ProtocolError(
                "device: expected a CUDA GPU that torch can use, found none; use device=auto or device=cpu"
            )
    os.environ["BOOK_DEVICE"] = asked.device
    return asked
