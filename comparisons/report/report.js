"use strict";
(() => {
  const filter = document.getElementById("filter");
  if (!filter) return;
  const all = filter.querySelector("[data-all]");
  const choices = [...filter.querySelectorAll("[data-choice]")];
  const status = document.getElementById("shown");
  const items = [...document.querySelectorAll("[data-verdict]")];
  const sections = items.filter((item) => item.matches("section"));
  const groups = [...document.querySelectorAll("[data-group]")];

  const isPressed = (button) => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));

  function show() {
    const chosen = choices.filter(isPressed).map((button) => button.dataset.choice);
    press(all, chosen.length === 0);
    for (const item of items) {
      item.hidden = chosen.length > 0 && !chosen.includes(item.dataset.verdict);
    }
    for (const group of groups) {
      group.hidden = !group.querySelector("[data-verdict]:not([hidden])");
    }
    const shown = sections.filter((section) => !section.hidden).length;
    status.textContent = `Showing ${shown} of ${sections.length} cases`;
  }

  function reset() {
    choices.forEach((button) => press(button, false));
    show();
  }

  all.addEventListener("click", reset);
  for (const button of choices) {
    button.addEventListener("click", () => {
      press(button, !isPressed(button));
      show();
    });
  }

  // A link to a case that the filter hides shows it.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.closest("[hidden]")) {
      reset();
      target.scrollIntoView();
    }
  }
  addEventListener("hashchange", reveal);

  filter.hidden = false;
  show();
})();
