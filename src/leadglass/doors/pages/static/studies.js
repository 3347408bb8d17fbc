// The study list while one types, and what arrives meanwhile. Without it the form is sent by its button.
"use strict";
const finder = document.getElementById("finder");
const heard = document.getElementById("heard");
const arrivals = document.getElementById("arrivals");
const TYPING = 250;
const NEWS = 10000;
let waiting = 0;
let running = null;
let fresh = 0;
let since = document.getElementById("results").dataset.since;
let opened = document.getElementById("results").dataset.address;

const search = async (isPassing, isKept) => {
  clearTimeout(waiting);
  if (running) running.abort();
  const mine = (running = new AbortController());
  const fields = new URLSearchParams(new FormData(finder));
  if (isPassing) fields.set("passing", "1");
  const before = document.getElementById("results");
  before.classList.add("busy");
  before.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(finder.getAttribute("action"), {
      method: "POST",
      body: fields,
      headers: { "x-leadglass-part": "results", "x-leadglass-csrf": fields.get("csrf"), Accept: "text/html" },
      signal: mine.signal,
    });
    const address = answer.headers.get("x-leadglass-address");
    if (!answer.ok || address === null) {
      if (answer.status === 401) {
        location.assign("/studies");
        return;
      }
      throw new Error(String(answer.status));
    }
    show(new DOMParser().parseFromString(await answer.text(), "text/html"), address, isKept);
  } catch (error) {
    if (error.name === "AbortError") return;
    heard.textContent = finder.dataset.fault;
    before.classList.remove("busy");
    before.removeAttribute("aria-busy");
  }
};

const show = (page, address, isKept) => {
  const results = page.getElementById("results");
  // What has the focus outside of the list keeps it; the list is what is replaced.
  document.getElementById("results").replaceWith(document.adoptNode(results));
  finder.elements.s.value = results.dataset.id;
  if (isKept && address !== opened) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  opened = address;
  since = results.dataset.since;
  forget();
  const count = document.getElementById("count") || document.getElementById("error");
  heard.textContent = count ? count.textContent.replace(/\s+/g, " ").trim() : "";
};

finder.addEventListener("input", (event) => {
  if (!event.target.matches("input[type=search], input:not([type])")) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => search(true, false), TYPING);
});
finder.addEventListener("change", (event) => {
  const field = event.target;
  if (field.matches("input[type=date]")) finder.elements.period.value = "range";
  if (field.value === "range" && field.name === "period") {
    finder.querySelector("details").open = true;
    const day = document.getElementById("since");
    if (!day.value && !document.getElementById("until").value) {
      day.focus();
      return;
    }
  }
  if (field.matches("select, input[type=radio], input[type=date], input[type=checkbox]")) search(false, true);
});
finder.addEventListener("submit", (event) => {
  event.preventDefault();
  search(false, true);
});
window.addEventListener("popstate", () => location.reload());

// What arrives is told, and the list stays as it is until one asks for it.
const forget = () => {
  fresh = 0;
  arrivals.replaceChildren();
};
const tell = () => {
  const words = fresh === 1 ? arrivals.dataset.one : arrivals.dataset.many.replace("{n}", String(fresh));
  const link = document.createElement("a");
  link.className = "button small-button";
  link.href = document.getElementById("results").dataset.address.replace(/([?&])page=\d+&?/, "$1").replace(/[?&]$/, "");
  link.textContent = arrivals.dataset.show;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    search(false, false);
  });
  const said = document.createElement("span");
  said.textContent = words;
  arrivals.replaceChildren(said, link);
};
const look = async () => {
  if (document.visibilityState !== "visible" || !since) return;
  try {
    const asked = since;
    const answer = await fetch(`/studies/news?since=${encodeURIComponent(asked)}`, {
      headers: { Accept: "application/json", "x-leadglass-background": "1" },
    });
    if (answer.status === 401) {
      since = "";
      const link = document.createElement("a");
      link.href = location.pathname + location.search;
      link.textContent = arrivals.dataset.in;
      arrivals.replaceChildren(`${arrivals.dataset.over} `, link);
      return;
    }
    if (!answer.ok || since !== asked) return;
    const news = await answer.json();
    since = news.since;
    if (news.new > 0) {
      fresh += news.new;
      tell();
    }
  } catch {
    // The archive cannot be reached at the moment; it is asked again.
  }
};
setInterval(look, Number(finder.dataset.news || NEWS));
document.addEventListener("visibilitychange", look);

// Pictures that cannot be made give way, also those that could not before this ran.
for (const picture of document.querySelectorAll(".picture img")) {
  if (picture.complete && picture.naturalWidth === 0) picture.hidden = true;
}
document.addEventListener(
  "error",
  (event) => {
    if (event.target instanceof HTMLImageElement && event.target.closest(".picture")) event.target.hidden = true;
  },
  true,
);
