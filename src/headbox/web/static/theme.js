// The switch between the system's theme, light and dark. The choice is kept in a cookie, so that the server renders
// the page in it and nothing flashes.
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const order = ["", "dark", "light"];
  const words = { "": "Auto", dark: "Dark", light: "Light" };

  function show() {
    const theme = root.dataset.theme || "";
    button.textContent = "◐ " + words[theme];
    button.title = "Theme: " + words[theme].toLowerCase();
    button.setAttribute("aria-label", button.title);
  }

  function change() {
    const theme = order[(order.indexOf(root.dataset.theme || "") + 1) % order.length];
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    const { themeCookie, root: path } = document.body.dataset;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    const age = theme ? 31536000 : 0;
    document.cookie = `${themeCookie}=${theme}; Path=${path}; Max-Age=${age}; SameSite=Strict${secure}`;
    show();
    document.dispatchEvent(new CustomEvent("headbox:theme"));
  }

  root.classList.add("js");
  button.hidden = false;
  button.addEventListener("click", change);
  show();
})();
