"""The page's files, from the folder that the page's build makes."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

NOT_BUILT: Final = (
    "The bridge is running, but the page has not been built.\n\n"
    "From a checkout:  make setup\n"
    "By hand:          cd bridge/dashboard && npm ci && npm run build\n\n"
    "The WebSocket at /ws and /healthz work without it.\n"
)

# Not the machine's mimetypes table: where that calls .js text/plain, a browser refuses the module.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


class StaticFile(NamedTuple):
    """A file as it goes out."""

    body: bytes
    content_type: str
    cache_control: str


class StaticFiles:
    """Looks files up by URL path, and never outside its folder.

    Args:
        root: the folder; it need not exist (yet).
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def built(self) -> bool:
        """Whether there is a page."""
        return (self._root / "index.html").is_file()

    def find(self, target: str) -> StaticFile | None:
        """The file for a request target (path and query); None if there is none.

        Files under ``assets/`` have a hash of their content in their names, so a browser may keep them for ever;
        all others are asked for again each time.
        """
        try:
            path = unquote(target.partition("?")[0], errors="strict")
        except UnicodeDecodeError:
            return None
        slash, *segments = path.split("/")
        if slash:
            return None
        if segments == [""]:
            segments = ["index.html"]
        if any(segment == "" or segment.startswith(".") or set(segment) & set("\\:\0") for segment in segments):
            return None
        root = self._root.resolve()
        file = root.joinpath(*segments).resolve()
        if not file.is_relative_to(root):
            return None
        try:
            body = file.read_bytes()
        except OSError:
            return None
        cached = "public, max-age=31536000, immutable" if segments[0] == "assets" else "no-cache"
        return StaticFile(body, _TYPES.get(file.suffix.lower(), "application/octet-stream"), cached)
