"""
Flags for ``os.open`` that some systems lack; 0 there.

None says that a descriptor is not for children: no descriptor of Python's is (PEP 446).
"""

from __future__ import annotations

import os
from typing import Final

AS_IS: Final[int] = getattr(os, "O_BINARY", 0)  # without it Windows turns LF into CRLF
NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)  # for a FIFO that somebody put in the place of a file
