"""What `from metaflow import …` has of this package."""

from ..plugins.envbox.records import envbox_record

__mf_extensions__ = "envbox"
__version__ = "0.1.0"
__all__ = ["envbox_record"]
