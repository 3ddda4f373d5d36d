from __future__ import annotations

import pytest

from headbox.domain.task import MINUTE, SECOND
from headbox.web.ui.wording import Times, show_prose, show_span


@pytest.mark.parametrize(
    ("span", "shown"),
    [(0, "< 1 ms"), (-5, "< 1 ms"), (999, "< 1 ms"), (1000, "1 ms"), (999_999, "999 ms"), (9 * SECOND, "9.0 s"),
     (200 * SECOND, "3 min 20 s"), (60 * MINUTE, "1 h")],
)  # fmt: skip
def test_a_span_is_shown_in_two_units_at_most(span: int, shown: str) -> None:
    assert show_span(span) == shown


@pytest.mark.parametrize(
    ("instant", "shown"),
    [(0, "just now"), (-SECOND + 1, "just now"), (-3 * SECOND, "3.0 s ago"), (2 * MINUTE, "in 2 min"), (1, "in 1.0 s")],
)  # fmt: skip
def test_a_time_is_told_from_now(instant: int, shown: str) -> None:
    assert f">{shown}<" in Times(0, is_live=False).ago(instant)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Copies `source` to ``target``.", "Copies <code>source</code> to <code>target</code>."),
        ("`<b>` & <b>", "<code>&lt;b&gt;</code> &amp; &lt;b&gt;"),
        ("5` or 6 ` apart", "5` or 6 ` apart"),
        ("```not one```", "```not one```"),
        ("``a`b``", "<code>a`b</code>"),
        ("`over\ntwo`", "`over\ntwo`"),
        ("", ""),
    ],
)
def test_what_stands_between_back_ticks_is_code_and_all_is_text(text: str, shown: str) -> None:
    assert show_prose(text) == shown
