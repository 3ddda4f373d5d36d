"""`make docs`: builds the site, and with the argument `serve` shows it on this machine."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from docs._generate.staging import ROOT, lay_out

PAGES: Final = ROOT / "build" / "pages"
SITE: Final = ROOT / "build" / "site"
CONFIGURATION: Final = ROOT / "zensical.toml"


def build() -> int:
    """The exit status: not 0 if any link leads nowhere."""
    try:
        lay_out(PAGES)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    zensical = Path(sys.executable).with_name("zensical")
    command = [str(zensical), "build", "--strict", "--clean", "-f", str(CONFIGURATION)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write((done.stdout + done.stderr).partition("Traceback")[0])
        return 1
    print(f"The site is in {SITE.relative_to(ROOT)}/")
    return 0


def serve(port: int = 8008) -> None:
    """Shows the site until it is interrupted."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{port}/ shows it; Ctrl-C ends this")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    status = build()
    if status == 0 and "serve" in sys.argv[1:]:
        serve()
    sys.exit(status)
