// Passkeys: asks the browser to make one, or to sign with one, and hands the answer to the archive.
"use strict";
(function () {
  const error = document.getElementById("passkey-error");

  function octets(text) {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, (each) => each.charCodeAt(0));
  }

  function text(buffer) {
    const plain = Array.from(new Uint8Array(buffer), (each) => String.fromCharCode(each)).join("");
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function credential(made) {
    const response = { clientDataJSON: text(made.response.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (made.response[name]) response[name] = text(made.response[name]);
    }
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response: response });
  }

  async function post(path, fields, csrf) {
    const headers = { "Content-Type": "application/json", Accept: "application/json" };
    if (csrf) headers["X-Leadglass-Csrf"] = csrf;
    const answer = await fetch(path, { method: "POST", headers: headers, body: JSON.stringify(fields) });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.detail || said.title);
    return said;
  }

  async function trying(button, work) {
    button.disabled = true;
    error.hidden = true;
    try {
      await work();
    } catch (fault) {
      error.textContent = fault.name === "Error" ? fault.message : "Your browser did not use a passkey.";
      error.hidden = false;
    } finally {
      button.disabled = false;
    }
  }

  if (!error || !window.PublicKeyCredential) return;

  const enter = document.getElementById("passkey");
  if (enter) {
    enter.hidden = false;
    enter.addEventListener("click", () =>
      trying(enter, async () => {
        const options = await post("/sign-in/passkey/begin", {});
        options.challenge = octets(options.challenge);
        delete options.allowCredentials;
        const made = await navigator.credentials.get({ publicKey: options });
        await post("/sign-in/passkey", { answer: credential(made) });
        location.assign(enter.dataset.next || "/");
      })
    );
  }

  const form = document.getElementById("passkey-form");
  if (form) {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const csrf = form.elements.csrf.value;
      trying(form.querySelector("button"), async () => {
        const options = await post("/account/passkeys/begin", { password: form.elements.password.value }, csrf);
        options.challenge = octets(options.challenge);
        options.user.id = octets(options.user.id);
        for (const known of options.excludeCredentials || []) known.id = octets(known.id);
        const made = await navigator.credentials.create({ publicKey: options });
        await post("/account/passkeys", { answer: credential(made), label: form.elements.label.value }, csrf);
        location.reload();
      });
    });
  }
})();
