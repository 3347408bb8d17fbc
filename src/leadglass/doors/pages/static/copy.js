// Copy buttons: put what stands in a field on the clipboard. Without scripts they are not shown.
"use strict";
(function () {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const from = document.getElementById(button.dataset.copy);
    const said = document.getElementById(button.dataset.said);
    if (!from) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText("value" in from ? from.value : from.textContent);
      if (said) said.textContent = button.dataset.done || "";
    });
  }
})();
