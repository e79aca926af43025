"""Pages of HTML that are one file."""

from ferjax.pages.page import Image, Page

__all__ = ['Image', 'Page']
