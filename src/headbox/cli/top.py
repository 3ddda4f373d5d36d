"""`headbox top`: what is going on, on the whole terminal, until `q`."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import rich_click as click

from headbox.cli.client import Client
from headbox.cli.connection import with_client
from headbox.cli.feed import Feed
from headbox.cli.frame import View, frame, last_scroll
from headbox.cli.look import take_look
from headbox.cli.screen import Screen, read_keys, taken
from headbox.cli.table import print_lines
from headbox.cli.terminal import NO_COLOURS, print_json, width_of
from headbox.cli.times import local_now

TICK: Final = 1.0  # seconds between two drawings, since times go on


@click.command()
@click.option("--once", is_flag=True, help="Print it once and end.")
@click.option("--json", "as_json", is_flag=True, help="Print it once as JSON, for scripts.")
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=0.5,
    show_default=True,
    help="Seconds between two looks, however fast things change.",
)
@with_client
def top(client: Client, once: bool, as_json: bool, interval: float) -> None:
    """Show what is going on: states, throughput, what runs and how far it is, the workers, what is due next.

    q quits, p pauses; arrows, j, k, g, G and the page keys scroll.
    """
    if not (once or as_json):
        check_terminal()
    look = take_look(client)
    if as_json:
        print_json(look.document())
    elif once:
        print_lines(frame(look, View(width_of(sys.stdout)), local_now()))
    else:
        show(Feed(client, look, interval))


def check_terminal() -> None:
    """Refuses what is no terminal, or one that cannot be drawn on."""
    if not sys.stdout.isatty():
        raise click.UsageError("there is no terminal to draw on: say --once, or --json")
    if os.environ.get("TERM", "") in NO_COLOURS:
        raise click.UsageError("this terminal cannot be drawn on (TERM): say --once")


def show(feed: Feed) -> None:
    """Draws what the feed brings and does what keys say, until one says quit."""
    screen = Screen()
    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    scroll = 0
    with taken(screen, keyboard), feed, waking(feed):
        while True:
            columns, rows = screen.size()
            trouble = feed.trouble.message if feed.trouble else ""
            view = View(columns, rows, scroll, feed.paused, trouble)
            now = local_now()
            last = last_scroll(feed.look, view, now)
            screen.draw(frame(feed.look, view._replace(scroll=min(scroll, last)), now))
            for key in wait_for_keys(keyboard, feed):
                if key == "quit":
                    return
                if key == "pause":
                    feed.pause()
                scroll = scrolled(key, min(scroll, last), last, rows)


def scrolled(key: str, scroll: int, last: int, rows: int) -> int:
    """Where a key leads to from `scroll`, `last` being the end."""
    moves = {"up": scroll - 1, "down": scroll + 1, "page up": scroll - rows, "page down": scroll + rows}
    return min(max({**moves, "home": 0, "end": last}.get(key, scroll), 0), last)


def wait_for_keys(keyboard: int | None, feed: Feed) -> list[str]:
    """The keys that were pressed, none if something else happened first. A keyboard that is gone quits."""
    sources = [feed.fileno(), *([keyboard] if keyboard is not None else [])]
    ready, _, _ = select.select(sources, [], [], TICK)
    feed.heed()
    if keyboard not in ready or keyboard is None:
        return []
    try:
        pressed = os.read(keyboard, 4096)
    except OSError:  # the terminal was closed
        pressed = b""
    return read_keys(pressed.decode("latin-1")) if pressed else ["quit"]


@contextmanager
def waking(feed: Feed) -> Iterator[None]:
    """A change of the terminal's size is something new."""
    before = signal.signal(signal.SIGWINCH, lambda number, frame: None)
    signal.set_wakeup_fd(feed.wake(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGWINCH, before)
