// Looks again at a running test of a device, until it is over, so that nobody has to press "Look again".
"use strict";
(function () {
  const state = document.getElementById("state");
  if (!state || state.dataset.over) return;
  const hide = () => {
    const again = state.querySelector(".look-again");
    if (again) again.hidden = true;
  };
  const look = async () => {
    let over = false;
    try {
      const answer = await fetch(state.dataset.look, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (!answer.ok) { location.reload(); return; }
      over = answer.headers.get("X-Leadglass-Over") === "1";
      const made = new DOMParser().parseFromString(await answer.text(), "text/html");
      const before = state.querySelector(".verdict");
      const fresh = made.querySelector(".verdict");
      // The line that is read out is changed only when it says something else.
      if (before && fresh && before.textContent === fresh.textContent) fresh.replaceWith(before);
      const held = document.activeElement && state.contains(document.activeElement) ? document.activeElement.tagName : "";
      state.replaceChildren(...made.body.children);
      if (held) {
        const next = state.querySelector(held.toLowerCase() + ":not([type=hidden])") || state;
        if (next === state) state.tabIndex = -1;
        next.focus();
      }
      hide();
    } catch (error) {
      // The network is away for a moment: look again.
    }
    if (!over) setTimeout(look, 1000);
  };
  hide();
  setTimeout(look, 500);
})();
