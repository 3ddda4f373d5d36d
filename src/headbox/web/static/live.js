// The stream that keeps a page up to date: it rests while nobody looks, comes back by itself when the connection was
// lost, and says so meanwhile.
(() => {
  const trouble = document.getElementById("trouble");
  const longest = 15000; // milliseconds between two attempts

  function say(text) {
    if (trouble.textContent !== text) trouble.textContent = text;
  }

  // An EventSource, as htmx's extension uses it, that is open only while the page is seen.
  class PatientSource {
    constructor(address) {
      this.address = address;
      this.listeners = [];
      this.pause = 500;
      this.readyState = EventSource.CONNECTING;
      this.look = () => (document.hidden ? this.rest() : this.open());
      document.addEventListener("visibilitychange", this.look);
      this.addEventListener("signed-out", () => location.reload());
      this.addEventListener("trouble", (event) => say(event.data));
      queueMicrotask(this.look);
    }

    open() {
      if (this.source || this.readyState === EventSource.CLOSED) return;
      clearTimeout(this.timer);
      this.source = new EventSource(this.address);
      for (const [name, listener] of this.listeners) this.source.addEventListener(name, listener);
      this.source.onopen = (event) => {
        this.readyState = EventSource.OPEN;
        this.pause = 500;
        say("");
        document.documentElement.classList.remove("away");
        this.onopen?.(event);
      };
      this.source.onerror = () => this.lose();
    }

    lose() {
      this.rest();
      say("The connection is lost; what you see may be old. Trying again …");
      document.documentElement.classList.add("away");
      this.timer = setTimeout(this.look, this.pause * (0.5 + Math.random()));
      this.pause = Math.min(2 * this.pause, longest);
    }

    rest() {
      clearTimeout(this.timer);
      this.source?.close();
      this.source = undefined;
      if (this.readyState !== EventSource.CLOSED) this.readyState = EventSource.CONNECTING;
    }

    addEventListener(name, listener) {
      this.listeners.push([name, listener]);
      this.source?.addEventListener(name, listener);
    }

    removeEventListener(name, listener) {
      this.listeners = this.listeners.filter(([each, own]) => each !== name || own !== listener);
      this.source?.removeEventListener(name, listener);
    }

    close() {
      this.readyState = EventSource.CLOSED;
      this.rest();
      document.removeEventListener("visibilitychange", this.look);
    }
  }
  htmx.createEventSource = (address) => new PatientSource(address);
  window.addEventListener("pagehide", () => document.documentElement.classList.add("leaving"));

  // What a person has opened, ticked or typed stays as it is when its part of the page is sent anew.
  const own = { DETAILS: ["open"], INPUT: ["checked", "value"], SELECT: ["value"], OPTION: ["selected"], DIALOG: ["open"] };
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !own[node.tagName]?.includes(name);

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
      button.textContent = "Copied";
    });
  }
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
