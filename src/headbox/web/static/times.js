// Keeps times current: the server sends instants, and what depends on the present is counted here, by its clock.
(() => {
  const ahead = Number(document.body.dataset.now) - Date.now();
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const local = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });

  function span(milliseconds) {
    let seconds = Math.max(0, Math.floor(milliseconds / 1000));
    const place = units.findIndex(([unit]) => seconds >= unit);
    if (place < 0) return "0 s";
    const parts = [];
    for (const [unit, name] of units.slice(place, place + 2)) {
      const count = Math.floor(seconds / unit);
      seconds -= count * unit;
      if (count) parts.push(`${count} ${name}`);
    }
    return parts.join(" ");
  }

  function text(data, now) {
    if (data.at) return local.format(Number(data.at));
    if (data.since) return span(now - Number(data.since));
    const passed = now - Number(data.ago);
    if (passed >= 0) return passed < 1000 ? "just now" : `${span(passed)} ago`;
    return `in ${span(999 - passed)}`;
  }

  function refresh(within) {
    const now = Date.now() + ahead;
    for (const each of within.querySelectorAll("time[data-at], time[data-ago], time[data-since]")) {
      const shown = text(each.dataset, now);
      if (each.textContent !== shown) each.textContent = shown;
    }
  }

  refresh(document);
  setInterval(() => refresh(document), 1000);
  document.addEventListener("htmx:afterSwap", (event) => refresh(event.target));
  document.addEventListener("htmx:sseMessage", (event) => refresh(event.target));
})();
