// The quick look: goes from image to image without loading the page again. Without this script its links do the same.
"use strict";
(() => {
  const stage = document.getElementById("stage");
  if (!stage) return;
  const said = stage.dataset;
  const where = document.getElementById("where");
  const slider = document.getElementById("slide");
  const play = document.getElementById("play");
  const help = document.getElementById("help");
  const links = Object.fromEntries([...document.querySelectorAll("a[data-go]")].map((a) => [a.dataset.go, a]));
  const kept = new Map();
  const MOST_KEPT = 80;
  const AHEAD = 4;
  let places = []; // [instance, frame, image number]
  let counts = { images: 0 };
  let at = 0;
  let wanted = 0;
  let way = 1;
  let timer = 0;
  let rate = 15;
  let telling = 0;
  let isLoading = false;

  const side = () => {
    const pixels = Math.max(stage.clientWidth, stage.clientHeight) * (window.devicePixelRatio || 1);
    return pixels <= 512 ? 512 : pixels <= 1024 ? 1024 : 2048;
  };
  const address = ([instance, frame], size) => {
    const gray = said.window === "automatic" ? said.window : said.center;
    const query = [size ? `viewport=${size},${size}` : "", gray ? `window=${gray}` : ""].filter(Boolean).join("&");
    return `/look/${said.study}/${said.series}/${instance}/frames/${frame}/picture${query ? "?" + query : ""}`;
  };
  const options = () => {
    const parts = [];
    if (said.window && !said.implied) parts.push(`window=${said.window}`);
    if (stage.classList.contains("inverted")) parts.push("invert=1");
    return parts;
  };
  const pageOf = ([instance, frame]) => {
    const query = [...(frame > 1 ? [`frame=${frame}`] : []), ...options()].join("&");
    return `/look/${said.study}/${said.series}/${instance}${query ? "?" + query : ""}`;
  };
  const words = (index) => {
    const [instance, frame, number] = places[index];
    const text = said.image.replace("NUMBER", number).replace("COUNT", counts.images);
    const frames = counts[instance];
    return frames > 1 ? text + said.of.replace("NUMBER", frame).replace("COUNT", frames) : text;
  };

  const fetched = (index) => {
    const source = address(places[index], side());
    let image = kept.get(source);
    if (!image) {
      image = new Image();
      image.src = source;
      image.ready = image.decode();
      image.ready.catch(() => kept.delete(source));
      kept.set(source, image);
      while (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
    }
    return image;
  };

  const signedOut = async () => {
    const answer = await fetch(window.location.href, { redirect: "manual", headers: { Accept: "text/html" } }).catch(() => null);
    if (answer && (answer.type === "opaqueredirect" || answer.status === 401)) window.location.reload();
  };

  const tell = () => {
    clearTimeout(telling);
    telling = setTimeout(() => {
      where.textContent = words(at);
    }, timer ? 1000 : 150);
  };

  const putWord = () => {
    const word = document.createElement("p");
    word.className = "stage-word";
    word.setAttribute("role", "alert");
    word.textContent = said.faulty;
    stage.firstElementChild.replaceWith(word);
  };
  const put = (image, isFaulty) => {
    if (isFaulty) putWord();
    else {
      image.alt = `${words(at)}, ${said.said}`;
      image.id = "picture";
      stage.firstElementChild.replaceWith(image);
    }
  };
  const failed = () => {
    putWord();
    signedOut();
  };

  const dress = () => {
    const place = places[at];
    slider.value = at + 1;
    slider.setAttribute("aria-valuetext", words(at));
    const steps = { first: 0, before: at - 1, after: at + 1, last: places.length - 1 };
    for (const [name, link] of Object.entries(links)) {
      const is = steps[name] >= 0 && steps[name] < places.length && steps[name] !== at;
      if (is) {
        link.href = pageOf(places[steps[name]]);
        link.removeAttribute("aria-disabled");
      } else {
        link.removeAttribute("href");
        link.setAttribute("aria-disabled", "true");
      }
    }
    document.getElementById("full").href = address(place, 0);
    document.getElementById("about").href = `/documents/${said.study}/${said.series}/${place[0]}`;
    history.replaceState(null, "", pageOf(place));
    tell();
  };

  const show = async () => {
    if (isLoading) return; // the newest wish is seen to when this one is done
    isLoading = true;
    try {
      do {
        at = wanted;
        const image = fetched(at);
        let isFaulty = false;
        try {
          await image.ready;
        } catch {
          isFaulty = true;
          await signedOut();
        }
        if (wanted === at || !timer) {
          put(image, isFaulty);
          dress();
        }
      } while (wanted !== at);
    } finally {
      isLoading = false;
    }
    for (let step = 1; step <= AHEAD; step++) {
      const next = at + step * way;
      if (next >= 0 && next < places.length) fetched(next).ready.catch(() => {});
    }
    const back = at - way;
    if (back >= 0 && back < places.length) fetched(back).ready.catch(() => {});
  };

  const go = (index) => {
    const next = Math.min(Math.max(index, 0), places.length - 1);
    if (!places.length || next === wanted) return;
    way = next > wanted ? 1 : -1;
    wanted = next;
    show();
  };

  const stop = () => {
    clearTimeout(timer);
    timer = 0;
    play.textContent = said.play;
    play.setAttribute("aria-pressed", "false");
  };
  const beat = async () => {
    const began = performance.now();
    const [instance] = places[at];
    let next = at + 1;
    if (counts[instance] > 1 && (next >= places.length || places[next][0] !== instance)) next = at - counts[instance] + 1;
    else if (next >= places.length) next = 0;
    wanted = Math.max(next, 0);
    way = 1;
    await show();
    if (timer) timer = setTimeout(beat, Math.max(0, 1000 / rate - (performance.now() - began)));
  };
  const start = () => {
    timer = setTimeout(beat, 0);
    play.textContent = said.stop;
    play.setAttribute("aria-pressed", "true");
  };
  const toggle = () => (timer ? stop() : start());

  const redraw = () => {
    if (places.length) show();
  };
  const choose = (link) => {
    said.window = link.dataset.window;
    delete said.implied;
    said.center = link.dataset.center;
    for (const each of document.querySelectorAll("a[data-window]")) each.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    redraw();
  };
  const invert = () => {
    const link = document.querySelector("a[data-invert]");
    if (stage.classList.toggle("inverted")) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    if (places.length) dress();
  };

  const begin = (list) => {
    list.images.forEach(([instance, frames], index) => {
      counts[instance] = frames;
      for (let frame = 1; frame <= frames; frame++) places.push([instance, frame, index + 1]);
    });
    counts.images = list.images.length;
    rate = list.rate;
    at = wanted = places.findIndex(([instance, frame]) => instance === said.instance && frame === Number(said.frame));
    if (at < 0 || !list.is_whole) {
      places = [];
      return;
    }
    slider.max = places.length;
    slider.value = at + 1;
    slider.setAttribute("aria-valuetext", words(at));
    document.getElementById("slider").hidden = places.length < 2;
    play.hidden = places.length < 2;
    help.hidden = false;
    stage.tabIndex = 0;
    if (document.activeElement === document.body) stage.focus({ preventScroll: true });
    stage.dataset.ready = "1";
    const near = at + 1;
    if (near < places.length) fetched(near).ready.catch(() => {});
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-go], a[data-window], a[data-invert]");
    if (!link || !places.length || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.dataset.go) {
      stop();
      const steps = { first: 0, before: wanted - 1, after: wanted + 1, last: places.length - 1 };
      go(steps[link.dataset.go]);
    } else if ("invert" in link.dataset) invert();
    else choose(link);
  });
  const keys = {
    ArrowDown: () => go(wanted + 1),
    ArrowRight: () => go(wanted + 1),
    ArrowUp: () => go(wanted - 1),
    ArrowLeft: () => go(wanted - 1),
    PageDown: () => go(wanted + 10),
    PageUp: () => go(wanted - 10),
    Home: () => go(0),
    End: () => go(places.length - 1),
    " ": toggle,
    i: invert,
    "?": () => {
      help.open = !help.open;
    },
  };
  stage.addEventListener("keydown", (event) => {
    if (!places.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const number = /^[0-9]$/.test(event.key) ? document.querySelectorAll("a[data-window]")[Number(event.key)] : null;
    const act = number ? () => choose(number) : keys[event.key] || keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
  let turned = 0;
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!places.length || event.ctrlKey) return;
      event.preventDefault();
      turned += event.deltaMode === 0 ? event.deltaY : event.deltaY * 40;
      const steps = Math.trunc(turned / 40);
      turned -= steps * 40;
      if (steps) go(wanted + steps);
    },
    { passive: false },
  );
  slider.addEventListener("input", () => {
    stop();
    go(Number(slider.value) - 1);
  });
  play.addEventListener("click", toggle);
  const first = stage.firstElementChild;
  if (first.complete && first.naturalWidth === 0) failed();
  else first.addEventListener("error", failed);

  fetch(said.list, { headers: { Accept: "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : null))
    .then((list) => list && begin(list))
    .catch(() => {});
})();
