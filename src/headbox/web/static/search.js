// The list of tasks: a search leaves nothing empty in the address bar; what is ticked is counted on the buttons.
(() => {
  document.addEventListener("htmx:configRequest", (event) => {
    const parameters = event.detail.parameters;
    for (const name of [...new Set(Object.keys(parameters))]) {
      if (parameters[name] === "") delete parameters[name];
    }
  });

  const ticks = () => [...document.querySelectorAll('input[name="id"][form="change"]')];

  function show() {
    const form = document.getElementById("change");
    const all = form?.elements.namedItem("all");
    if (!all) return;
    const chosen = ticks().filter((tick) => tick.checked).length;
    for (const button of form.querySelectorAll("button")) {
      button.dataset.label ||= button.textContent;
      button.disabled = !all.checked && !chosen;
      button.textContent = button.dataset.label + (all.checked ? " all" : chosen ? ` ${chosen}` : "");
    }
    const head = document.querySelector("table.tasks thead .tick");
    if (head && !head.querySelector("input")) {
      head.innerHTML = '<input type="checkbox" id="tick-page" aria-label="choose all on this page">';
    }
    const page = document.getElementById("tick-page");
    if (page) {
      page.checked = chosen > 0 && chosen === ticks().length;
      page.indeterminate = chosen > 0 && chosen < ticks().length;
    }
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "tick-page") ticks().forEach((tick) => (tick.checked = event.target.checked));
    if (event.target.type === "checkbox") show();
  });
  document.addEventListener("htmx:afterSettle", show);
  document.addEventListener("htmx:sseMessage", show);
  show();
})();
