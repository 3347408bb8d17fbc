// Takes the secret of a one-time link out of the address, so that nobody has to copy it.
"use strict";
(function () {
  const field = document.getElementById("secret");
  const shown = location.hash.slice(1);
  if (!field || !(shown || field.value)) return;
  if (shown) field.value = shown;
  const box = field.closest(".from-link");
  if (box) box.hidden = true;
  // Out of the address bar and the history, before anybody looks over a shoulder.
  history.replaceState(null, "", location.pathname);
  const next = document.getElementById("password");
  if (next) next.focus();
})();
