// Theme, progress line and the one-sentence notices of every page. Loaded in the head, before
// anything is painted. No library, no request to any other host.
(function () {
  "use strict";
  const KEY = "workbench-theme";
  const asked = new URLSearchParams(location.search).get("theme");
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden; then the choice lasts as long as the page
    }
  }

  function known(theme) {
    return theme === "light" || theme === "dark" ? theme : null;
  }

  let theme = known(asked) || known(stored()) || (prefersDark.matches ? "dark" : "light");

  function apply() {
    const dark = theme === "dark";
    document.getElementById("wb-theme-dark").media = dark ? "all" : "not all";
    document.documentElement.style.colorScheme = theme;
    document.documentElement.dataset.theme = theme;
    if (!document.body) return;
    // what JupyterLab sets, and what widgets that care about the theme look at
    document.body.dataset.jpThemeLight = String(!dark);
    document.body.dataset.jpThemeName = dark ? "JupyterLab Dark" : "JupyterLab Light";
    document.body.classList.toggle("theme-dark", dark);
    document.body.classList.toggle("theme-light", !dark);
    const button = document.getElementById("wb-theme");
    if (button) button.textContent = dark ? "Light theme" : "Dark theme";
  }

  function toggle() {
    theme = theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // see stored()
    }
    if (asked) {
      const url = new URL(location.href);
      url.searchParams.delete("theme"); // or a reload would undo the choice
      history.replaceState(null, "", url);
    }
    apply();
  }

  function notice(sentence) {
    const box = document.getElementById("wb-notice");
    if (!box) return;
    box.textContent = sentence;
    box.hidden = !sentence;
  }

  // called by the page for every cell, before the cell is run
  function progress(index, count) {
    const headings = document.querySelectorAll("#rendered_cells h1, #rendered_cells h2");
    const where = headings.length ? headings[headings.length - 1].firstChild.textContent.trim() : "";
    const bar = document.getElementById("wb-progress");
    const text = document.getElementById("loading_text");
    if (!bar || !text) return;
    bar.max = count;
    bar.value = index - 1;
    text.textContent = `Running the notebook: step ${index} of ${count}` + (where ? `, ${where}` : "");
    const title = document.querySelector("#rendered_cells h1");
    if (title) document.title = title.firstChild.textContent.trim() + " - Ternary workbench";
  }

  // the kernel behind a page can be killed, or the server stopped: then no control would answer
  function watchKernel() {
    const config = document.getElementById("jupyter-config-data");
    if (!config) return;
    const { baseUrl, kernelId } = JSON.parse(config.textContent);
    if (!kernelId) return;
    let failures = 0;
    const timer = setInterval(async () => {
      let status = 0;
      try {
        status = (await fetch(`${baseUrl}api/kernels/${kernelId}`, { cache: "no-store" })).status;
      } catch {
        status = 0;
      }
      failures = status === 0 ? failures + 1 : 0;
      if (status === 404) {
        notice("The kernel that computes this page has ended, so its controls no longer answer; reload the page to start a new one.");
        clearInterval(timer);
      } else if (failures >= 2) {
        notice("The dashboard server does not answer; start it again (workbench dashboards), then reload the page.");
      } else if (status === 200) {
        notice("");
      }
    }, 3000);
  }

  window.workbench = { applyTheme: apply, progress };
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("wb-theme")?.addEventListener("click", toggle);
    watchKernel();
  });
  prefersDark.addEventListener("change", () => {
    if (!known(asked) && !known(stored())) {
      theme = prefersDark.matches ? "dark" : "light";
      apply();
    }
  });
})();
