"""Whether what networks need is installed."""

from __future__ import annotations

from ...errors import ConfigError

WITH_MODELS = 'pip install -c constraints.txt ".[models]"'


def require_torch() -> None:
    """Raise ConfigError, and say how to install it, unless PyTorch and what reads model folders are there."""
    try:
        import torch  # noqa: F401
        import yaml  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"models need {error.name}, which is not installed", **{"try": WITH_MODELS}) from None
