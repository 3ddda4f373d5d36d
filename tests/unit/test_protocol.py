"""Messages between the worker's processes survive any cutting of the stream they travel in."""

from __future__ import annotations

import os
import threading

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headbox.domain.task import Work
from headbox.task_queue.running import Ending
from headbox.worker.protocol import (
    CancelRun,
    ChildFailed,
    ChildReady,
    Chunk,
    Ended,
    Frames,
    FromChild,
    Outlet,
    Progressed,
    Started,
    Stop,
    ToChild,
    Unknown,
    frame,
)

SPOKEN: list[FromChild] = [
    ChildReady(4711),
    Started([1, 2], 10),
    Progressed(1, '{"done": 3}'),
    Ended(1, 10, 20, False, Ending("succeed", b"[1]", "[1]")),
    Unknown(2),
    Ended(3, 30, 40, True, Ending("fail", exception="ValueError: ü", traceback="…", retry_after=5, discard=True)),
    ChildFailed("a hook failed"),
]


@given(st.lists(st.sampled_from(SPOKEN), max_size=20), st.data())
def test_a_stream_gives_the_same_messages_however_it_is_cut(spoken: list[FromChild], data: st.DataObject) -> None:
    stream = b"".join(map(frame, spoken))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    frames: Frames[FromChild] = Frames(FromChild)
    heard = [
        message
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for message in frames.feed(stream[start:end])
    ]
    assert heard == spoken


def test_what_a_child_is_told_arrives_as_it_was() -> None:
    work = Work(
        "id", 2, "shop:buy", b"\x80HB1", b"[1]", b"{}", "progress", b"p", "buy", "Shop", "job", "ann", "nightly"
    )
    told: list[ToChild] = [Chunk([(1, work), (2, Work("other", 1, "shop:sell"))]), CancelRun(1, 2), Stop()]
    frames: Frames[ToChild] = Frames(ToChild)
    assert frames.feed(b"".join(map(frame, told))) == told


def test_a_message_of_megabytes_is_put_together_from_pieces() -> None:
    ended = Ended(1, 0, 0, False, Ending("succeed", bytes(3_000_000)))
    stream = frame(ended) + frame(Unknown(2))
    frames: Frames[FromChild] = Frames(FromChild)
    heard = [message for at in range(0, len(stream), 65536) for message in frames.feed(stream[at : at + 65536])]
    assert heard == [ended, Unknown(2)]


def test_frames_of_many_threads_do_not_mix() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb", buffering=0) as inlet, open(theirs, "wb", buffering=0):
        outlet = Outlet(theirs)
        reports = [Progressed(number, str(number) * 20_000) for number in range(8)]
        threads = [
            threading.Thread(target=lambda report=report: [outlet.send(report) for _ in range(20)])
            for report in reports
        ]
        for thread in threads:
            thread.start()
        frames: Frames[FromChild] = Frames(FromChild)
        heard: list[FromChild] = []
        while len(heard) < 160:
            heard += frames.feed(inlet.read(65536))
        for thread in threads:
            thread.join()
    assert sorted(heard, key=lambda message: message.seq) == [report for report in reports for _ in range(20)]


def test_a_process_that_a_task_forked_cannot_speak_for_it() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb", buffering=0) as inlet, open(theirs, "wb", buffering=0) as ending:
        outlet = Outlet(theirs)
        pid = os.fork()
        if pid == 0:
            try:
                outlet.send(Unknown(1))
            except RuntimeError:
                os._exit(42)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
        ending.close()
        assert inlet.read(1) == b""


def test_no_message_is_longer_than_it_says() -> None:
    assert frame(Stop())[:4] == (len(frame(Stop())) - 4).to_bytes(4, "big")


@pytest.mark.parametrize("conversation", [FromChild, ToChild])
def test_a_message_that_is_not_of_the_conversation_is_refused(conversation: object) -> None:
    frames: Frames[object] = Frames(conversation)
    with pytest.raises(msgspec.ValidationError):
        frames.feed(b"\x00\x00\x00\x02\x91\x63")  # [99]
