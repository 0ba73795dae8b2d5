"""The HTTP service: messages in, verdicts out, nothing kept. Needs `pip install 'forewarn[serve]'`."""

from __future__ import annotations

from forewarn.inference.service.app import create_app
from forewarn.inference.service.settings import Settings, load_settings

__all__ = ["Settings", "create_app", "load_settings"]
