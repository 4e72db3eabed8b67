"""How a function tells its progress."""

from collections.abc import Callable

Say = Callable[[str], None]
