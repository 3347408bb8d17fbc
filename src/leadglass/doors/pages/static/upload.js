// Sending files in: several at a time, each with what became of it; what arrived is not sent twice.
//
// Rule 1. The archive says what a file is and what becomes of it; this only leaves out what is plainly no image.
// Rule 2. Nothing of a file, not even its name, is kept in the browser after the page. Rule 3. Ten thousand files
// are ten thousand small objects and a table of a hundred rows.
"use strict";

(() => {
  const TOGETHER = 3; // requests at one time
  const SMALL = 1 << 20; // a file below this many bytes is sent with others
  const MOST_FILES = 32; // of one request
  const MOST_BYTES = 8 << 20;
  const TRIES = 6;
  const ROWS = 100; // of the table
  const ASKED = 100; // files asked about at one time
  const HASHED = 512 << 20; // a file larger than this is sent, and not asked about
  const MARK = "leadglass-upload-broken-off"; // says that there was one, and nothing else
  const SYSTEM = new Set(["thumbs.db", "desktop.ini", "__macosx", "lost+found", "$recycle.bin"]);

  const at = (id) => document.getElementById(`drop-${id}`);
  const box = document.getElementById("drop");
  if (!box) return;
  const target = box.dataset.target;
  const words = at("words").dataset;
  const form = at("form");
  let csrf = form.elements.csrf.value;
  const isLink = !document.querySelector(".who");

  const files = []; // {file, name, size, state, why, study, tries}
  const queue = []; // those that wait to be looked at or sent
  const running = new Set(); // {items, request, sent, element}
  const counts = {};
  const studies = new Set();
  let paused = "", asksFirst = false, listing = 0, page = 0, cancelled = false, wake = 0, drawn = 0, doneBytes = 0, allBytes = 0;

  const isOver = (state) => !["queued", "ready", "sending"].includes(state);
  const isProblem = (item) => ["refused", "kept_aside", "failed"].includes(item.state);

  // --- what was dropped or chosen ---------------------------------------------------------

  const add = (file, name) => {
    const item = { file, name, size: file.size, state: "queued", why: "", study: "", tries: 0 };
    files.push(item);
    allBytes += item.size;
    const parts = name.toLowerCase().split("/");
    if (parts.some((part) => part.startsWith(".") || SYSTEM.has(part))) finish(item, "skipped", words.system);
    else if (parts[parts.length - 1] === "dicomdir") finish(item, "skipped", words.media);
    else if (!file.size) finish(item, "refused", words.empty);
    else queue.push(item);
  };

  const walk = async (entry, path) => {
    if (entry.isFile) {
      await new Promise((resolve) => entry.file((file) => { add(file, path + entry.name); resolve(); }, () => {
        const item = { file: null, name: path + entry.name, size: 0, state: "queued", why: "", study: "", tries: 0 };
        files.push(item);
        finish(item, "refused", words.unreadable);
        resolve();
      }));
    } else if (entry.isDirectory) {
      const reader = entry.createReader();
      for (;;) { // a folder is read a hundred entries at a time
        const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
        if (!some.length) return;
        for (const each of some) await walk(each, `${path}${entry.name}/`);
        draw();
      }
    }
  };

  const begin = async (gather) => {
    cancelled = false;
    listing += 1;
    asksFirst = asksFirst || localStorage.getItem(MARK) === "1";
    at("run").hidden = false;
    hint("");
    draw(true);
    await gather();
    listing -= 1;
    if (!files.length) hint(words.nothing);
    if (queue.length) localStorage.setItem(MARK, "1");
    go();
  };

  const chosen = (input) => {
    const list = [...input.files];
    input.value = "";
    if (list.length) begin(async () => {
      for (const [number, file] of list.entries()) {
        add(file, file.webkitRelativePath || file.name);
        if (number % 500 === 499) await new Promise(requestAnimationFrame);
      }
    });
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); chosen(at("files")); });
  at("send").hidden = true; // choosing sends
  at("folder-field").hidden = !("webkitdirectory" in at("folder"));
  at("files").addEventListener("change", () => chosen(at("files")));
  at("folder").addEventListener("change", () => chosen(at("folder")));

  let over = 0;
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  window.addEventListener("dragenter", (event) => { if (holdsFiles(event)) { over += 1; box.classList.add("over"); } });
  window.addEventListener("dragleave", () => { over = Math.max(0, over - 1); if (!over) box.classList.remove("over"); });
  window.addEventListener("dragover", (event) => { if (holdsFiles(event)) event.preventDefault(); });
  window.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    over = 0;
    box.classList.remove("over");
    // What was dropped is gone after this turn: entries are taken now and walked later.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const plain = [...event.dataTransfer.files];
    begin(async () => {
      if (entries.length) for (const entry of entries) await walk(entry, "");
      else for (const file of plain) add(file, file.name);
    });
  });

  // --- looking into files -----------------------------------------------------------------

  const text = (bytes) => String.fromCharCode(...bytes).replace(/[\0 ]+$/, "");

  // The file meta information (PS3.10 7.1) is Explicit VR Little Endian; gives where the data set begins, and its UID.
  const readMeta = (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let position = 132, uid = "";
    while (position + 8 <= bytes.length && view.getUint16(position, true) === 2) {
      const isLong = ["OB", "OW", "OF", "SQ", "UN", "UT"].includes(text(bytes.subarray(position + 4, position + 6)));
      const value = position + (isLong ? 12 : 8);
      if (value > bytes.length) return null;
      const length = isLong ? view.getUint32(value - 4, true) : view.getUint16(value - 2, true);
      if (view.getUint16(position + 2, true) === 3) uid = text(bytes.subarray(value, value + length));
      position = value + length;
    }
    return position + 8 <= bytes.length && uid ? { offset: position, uid } : null;
  };

  const looksLikeDicom = (head) => {
    if (text(head.subarray(128, 132)) === "DICM") return true;
    for (const start of [0, 128]) { // a data set without a beginning: group 0002, 0004, 0008 or 0010
      const group = head[start] | (head[start + 1] << 8), big = (head[start] << 8) | head[start + 1];
      if ([2, 4, 8, 16].includes(group) || [4, 8, 16].includes(big)) return true;
    }
    return false;
  };

  const isZip = (head) => head[0] === 0x50 && head[1] === 0x4b && (head[2] === 3 || head[2] === 5);

  const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  // Says whether a file is to be sent; one that is no image is answered here.
  const look = async (item) => {
    let head;
    try {
      head = new Uint8Array(await item.file.slice(0, 4096).arrayBuffer());
    } catch {
      finish(item, "refused", words.unreadable);
      return false;
    }
    item.isZip = isZip(head);
    if (!item.isZip && !looksLikeDicom(head)) {
      finish(item, "skipped", words.not_dicom);
      return false;
    }
    item.meta = item.isZip || text(head.subarray(128, 132)) !== "DICM" ? null : readMeta(head);
    return true;
  };

  // Asks which of some files the archive has, by what is in them, and leaves those out.
  const leaveOutKnown = async (items) => {
    const asked = [];
    for (const item of items) {
      if (!item.meta || item.size > HASHED || !/^[0-9.]{1,64}$/.test(item.meta.uid)) continue;
      try {
        const content = await item.file.slice(item.meta.offset).arrayBuffer();
        asked.push([item, { uid: item.meta.uid, sha256: hex(await crypto.subtle.digest("SHA-256", content)) }]);
      } catch { /* it is sent, and fails there if it cannot be read */ }
    }
    if (!asked.length) return items;
    const answer = await fetch(`${target}/known`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "x-leadglass-csrf": csrf },
      body: JSON.stringify({ files: asked.map(([, question]) => question) }),
    });
    if (answer.status !== 200) return items; // sending tells what is wrong
    const { known } = await answer.json();
    const left = new Set(items);
    asked.forEach(([item], number) => {
      if (known[number]) { left.delete(item); finish(item, "already_here", words.checked); }
    });
    return [...left];
  };

  // --- sending ----------------------------------------------------------------------------

  // Takes what is sent in one request: one large file, or many small ones.
  const take = () => {
    const items = [];
    let bytes = 0;
    while (queue.length && items.length < (asksFirst ? Math.min(ASKED, MOST_FILES) : MOST_FILES)) {
      const next = queue[queue.length - 1];
      if (items.length && (next.size >= SMALL || bytes + next.size > MOST_BYTES)) break;
      queue.pop();
      items.push(next);
      bytes += next.size;
      if (next.size >= SMALL) break;
    }
    return items;
  };

  const go = () => {
    if (!queue.sorted) { queue.reverse(); queue.sorted = true; }
    while (!paused && !cancelled && running.size < TOGETHER && queue.length) {
      const run = { items: take(), request: null, sent: 0, bytes: 0 };
      for (const item of run.items) item.state = "ready";
      running.add(run);
      work(run).catch(() => failed(run, 0)).finally(() => { running.delete(run); go(); });
    }
    draw();
    if (!queue.length && !running.size && !listing) ended();
  };

  const work = async (run) => {
    const ready = [];
    for (const item of run.items) if (await look(item)) ready.push(item);
    run.items = asksFirst ? await leaveOutKnown(ready) : ready;
    if (run.items.length && !cancelled && !paused) await send(run);
    else if (!cancelled) putBack(run);
  };

  const putBack = (run) => {
    for (const item of run.items) if (!isOver(item.state)) { item.state = "queued"; queue.push(item); }
  };

  const send = (run) => new Promise((resolve) => {
    const body = new FormData();
    for (const item of run.items) {
      item.state = "sending";
      body.append("file", item.file, "f"); // what it is called stays here
      run.bytes += item.size;
    }
    const request = new XMLHttpRequest();
    run.request = request;
    request.open("POST", `${target}/files`);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("x-leadglass-csrf", csrf);
    request.upload.addEventListener("progress", (event) => { run.sent = Math.min(event.loaded, run.bytes); draw(); });
    request.addEventListener("progress", () => {
      const lines = request.responseText.trim().split("\n");
      try { run.unpacked = JSON.parse(lines[lines.length - 1]).unpacked; } catch { /* half a line */ }
      draw();
    });
    request.addEventListener("loadend", () => { answered(run, request); resolve(); });
    request.send(body);
  });

  const answered = (run, request) => {
    if (cancelled) return run.items.forEach((item) => finish(item, "cancelled", ""));
    if (paused === "you" && !request.status) { asksFirst = true; return putBack(run); }
    const last = request.responseText.trim().split("\n").pop() || "{}";
    let said = {};
    try { said = JSON.parse(last); } catch { /* an answer that broke off */ }
    if (request.status === 200 && Array.isArray(said.files) && said.files.length === run.items.length) {
      away(0);
      said.files.forEach((became, number) => settle(run.items[number], became));
      return;
    }
    if (request.status === 401) return wait(run, "expired", isLink ? words.expired_link : words.expired);
    if (request.status === 403) return renewed(run);
    if (request.status === 507) return wait(run, "full", words.full);
    if (request.status >= 400 && request.status < 500 && request.status !== 429 && request.status !== 408) {
      for (const item of run.items) finish(item, "refused", said.detail || said.error || "");
      return;
    }
    if (request.status === 200 && said.error && !said.again) {
      for (const item of run.items) finish(item, "refused", said.error);
      return;
    }
    failed(run, Number(request.getResponseHeader("Retry-After")) || 0); // away, busy, or broken off in the middle
  };

  const settle = (item, became) => {
    if (became.became === "unpacked") {
      for (const [kind, number] of Object.entries(became.counts)) counts[kind] = (counts[kind] || 0) + number;
      for (const study of became.studies) studies.add(study);
      for (const each of became.not_taken) {
        files.push({ file: null, name: `${item.name}${each.name.slice(each.name.indexOf("!"))}`, size: 0, state: each.became, why: each.reason || "", study: "", tries: 0 });
      }
      item.state = "unpacked";
      doneBytes += item.size;
      return;
    }
    if (became.again) return failed({ items: [item] }, 0);
    if (became.study) studies.add(became.study);
    item.study = became.study || "";
    finish(item, became.became, became.reason || "");
  };

  const failed = (run, seconds) => {
    const left = run.items.filter((item) => !isOver(item.state));
    let tries = 0;
    for (const item of left) {
      item.tries += 1;
      tries = Math.max(tries, item.tries);
      if (item.tries >= TRIES) finish(item, "failed", words.tries);
      else { item.state = "queued"; queue.push(item); }
    }
    asksFirst = true; // some of it may have arrived
    if (left.length && tries < TRIES) away(Math.max(seconds, Math.min(30, 2 ** tries)));
  };

  // Waits some seconds before going on; 0: the archive answers.
  const away = (seconds) => {
    if (!seconds) { if (paused === "away") resume(); return; }
    if (paused && paused !== "away") return;
    paused = "away";
    hint(words.away);
    clearTimeout(wake);
    wake = setTimeout(resume, seconds * 1000 * (0.75 + Math.random() / 2));
  };

  const wait = (run, why, said) => {
    putBack(run);
    asksFirst = true;
    paused = why;
    hint(said);
    draw(true);
  };

  // A form that is out of date: somebody signed in anew. Else it is not permitted.
  const renewed = async (run) => {
    const before = csrf;
    const state = await renew();
    if (state === 200 && csrf !== before) { putBack(run); go(); return; }
    if (state === 401) wait(run, "expired", isLink ? words.expired_link : words.expired);
    else wait(run, "denied", words.denied);
  };

  const renew = async () => {
    try {
      const answer = await fetch(`${target}/session`, { headers: { Accept: "application/json" } });
      if (answer.status === 200) csrf = form.elements.csrf.value = (await answer.json()).csrf;
      return answer.status;
    } catch {
      return 0;
    }
  };

  const resume = async () => {
    clearTimeout(wake);
    if (paused && paused !== "you" && (await renew()) !== 200) {
      if (paused === "away") away(10);
      return;
    }
    paused = "";
    hint("");
    go();
  };

  // Coming back from the tab in which one signed in again.
  window.addEventListener("focus", () => { if (paused === "expired") resume(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && paused === "expired") resume(); });

  const finish = (item, state, why) => {
    if (isOver(item.state)) return;
    item.state = state;
    item.why = why;
    if (!["failed", "cancelled"].includes(state)) item.file = null;
    counts[state] = (counts[state] || 0) + 1;
    doneBytes += item.size;
    draw();
  };

  const ended = () => {
    if (!counts.failed && !cancelled) localStorage.removeItem(MARK);
    draw(true);
  };

  at("pause").addEventListener("click", () => {
    paused = "you";
    for (const run of running) run.request?.abort();
    draw(true);
  });
  at("go").addEventListener("click", resume);
  at("cancel").addEventListener("click", () => {
    cancelled = true;
    clearTimeout(wake);
    paused = "";
    for (const run of running) run.request?.abort();
    while (queue.length) finish(queue.pop(), "cancelled", "");
    hint("");
    draw(true);
  });
  at("retry").addEventListener("click", () => {
    cancelled = false;
    for (const item of files) {
      if (!["failed", "cancelled"].includes(item.state) || !item.file) continue;
      counts[item.state] -= 1;
      doneBytes -= item.size;
      Object.assign(item, { state: "queued", why: "", tries: 0 });
      queue.push(item);
    }
    asksFirst = true;
    go();
  });
  window.addEventListener("beforeunload", (event) => {
    if (queue.length || running.size) event.preventDefault();
  });

  // --- showing ----------------------------------------------------------------------------

  const hint = (said) => {
    at("alert").textContent = said;
    at("alert").hidden = !said;
    at("sign-in").hidden = paused !== "expired" || isLink;
  };

  const size = (bytes) => {
    for (const unit of ["bytes", "kB", "MB", "GB"]) {
      if (bytes < 1000) return `${unit === "bytes" || bytes >= 10 ? Math.round(bytes) : bytes.toFixed(1)} ${unit}`;
      bytes /= 1000;
    }
    return `${bytes.toFixed(1)} TB`;
  };

  const make = (tag, className, content) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (content !== undefined) element.textContent = content;
    return element;
  };

  const KINDS = { stored: "good", already_here: "good", waiting: "good", unpacked: "good", kept_aside: "warn", refused: "bad", failed: "bad" };
  const ORDER = ["stored", "already_here", "waiting", "kept_aside", "refused", "failed", "skipped", "cancelled"];

  const draw = (now) => {
    if (now) { drawn = 0; show(); return; }
    if (drawn) return;
    drawn = setTimeout(() => { drawn = 0; show(); }, 150); // not for each of ten thousand files
  };

  const state = () => {
    const busy = queue.length || running.size || listing;
    if (cancelled) return words.cancelled_all;
    if (paused && busy) return words.paused;
    if (listing) return words.looking;
    if (busy) return words.running;
    return files.some(isProblem) ? words.done_problems : words.done;
  };

  const say = (element, said) => { if (element.textContent !== said) element.textContent = said; };

  const show = () => {
    const busy = queue.length || running.size || listing;
    say(at("state"), state());
    at("pause").hidden = !busy || Boolean(paused) || cancelled;
    at("go").hidden = !busy || !paused;
    at("cancel").hidden = !busy || cancelled;
    at("retry").hidden = Boolean(busy) || !files.some((item) => ["failed", "cancelled"].includes(item.state) && item.file);
    let sending = 0;
    for (const run of running) sending += run.sent;
    at("progress").max = allBytes || 1;
    at("progress").value = busy ? Math.min(doneBytes + sending, allBytes) : allBytes || 1;
    const own = files.filter((item) => item.size || !item.name.includes("!"));
    const over = own.filter((item) => isOver(item.state)).length;
    say(at("amount"), `${over.toLocaleString()} ${words.of} ${own.length.toLocaleString()} ${words.files}, ${size(Math.min(doneBytes + sending, allBytes))} ${words.of} ${size(allBytes)}`);
    const totals = at("counts");
    totals.replaceChildren(...ORDER.filter((kind) => counts[kind]).map((kind) => {
      const tile = make("div", KINDS[kind] || "");
      tile.append(make("dt", "", words[kind]), make("dd", "", counts[kind].toLocaleString()));
      return tile;
    }));
    showStudies();
    at("now").replaceChildren(...[...running].filter((run) => run.request && run.items.length).map(row));
    showRows();
  };

  const row = (run) => {
    const line = make("div", "drop-line");
    const more = run.items.length > 1 ? ` + ${run.items.length - 1}` : "";
    const isSent = run.sent >= run.bytes && run.items[0].isZip;
    line.append(make("span", "drop-name", run.items[0].name + more));
    line.append(make("span", "small", isSent ? `${words.unpacking} ${run.unpacked ? run.unpacked.toLocaleString() : ""}` : size(run.bytes)));
    const bar = make("progress");
    bar.max = run.bytes;
    bar.value = run.sent;
    bar.setAttribute("aria-label", run.items[0].name + more);
    line.append(bar);
    return line;
  };

  // What each study is, as far as who sends may know: asked once, by UIDs alone.
  const known = new Map();
  const nameStudies = async (uids) => {
    for (const uid of uids) known.set(uid, "");
    const query = `StudyInstanceUID=${uids.map(encodeURIComponent).join(",")}&includefield=StudyDescription&limit=${uids.length}`;
    const answer = await fetch(`/dicom-web/studies?${query}`, { headers: { Accept: "application/dicom+json" } }).catch(() => null);
    if (!answer || answer.status !== 200) return;
    for (const study of await answer.json()) {
      const first = (tag) => study[tag]?.Value?.[0] ?? "";
      const patient = String(first("00100010").Alphabetic ?? "").split("^").filter(Boolean).slice(0, 2).join(", ");
      const day = String(first("00080020")).replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3");
      known.set(first("0020000D"), [patient, day, first("00081030")].filter(Boolean).join(" · ").slice(0, 100));
    }
    at("studies").replaceChildren();
    showStudies();
  };

  const showStudies = () => {
    const line = at("studies");
    const shown = [...studies].slice(0, 20);
    const unknown = isLink ? [] : shown.filter((uid) => !known.has(uid));
    if (unknown.length) nameStudies(unknown);
    const leads = shown.map((uid, number) => {
      const called = studies.size > 1 ? `${words.study} ${number + 1}` : words.study;
      return [`/studies/${encodeURIComponent(uid)}`, known.get(uid) ? `${words.study}: ${known.get(uid)}` : called];
    });
    if (counts.kept_aside && document.querySelector('.menu a[href="/quarantine"]')) leads.push(["/quarantine", words.decide]);
    if (isLink || line.childElementCount === leads.length) return;
    line.replaceChildren(...leads.flatMap(([path, said], number) => {
      const link = make("a", "", said);
      link.href = path;
      return number ? [" · ", link] : [link];
    }));
  };

  const showRows = () => {
    const chosen = at("show").value;
    const wanted = chosen === "all" ? files : files.filter(chosen === "skipped" ? (item) => item.state === "skipped" : isProblem);
    const pages = Math.max(1, Math.ceil(wanted.length / ROWS));
    page = Math.min(page, pages - 1);
    at("results").hidden = !files.length;
    at("none").hidden = wanted.length > 0;
    at("paging").hidden = pages < 2;
    at("back").disabled = page === 0;
    at("next").disabled = page === pages - 1;
    say(at("page"), `${words.page} ${page + 1} ${words.of} ${pages}`);
    const rows = wanted.slice(page * ROWS, (page + 1) * ROWS);
    const body = at("rows");
    const heads = [...box.querySelectorAll("thead th")].map((head) => head.textContent);
    while (body.children.length > rows.length) body.lastChild.remove();
    rows.forEach((item, number) => {
      let line = body.children[number];
      const key = `${item.state} ${item.why} ${item.name}`;
      if (line && line.dataset.key === key) return;
      const made = make("tr");
      made.dataset.key = key;
      const kind = item.state === "ready" ? "queued" : item.state;
      const cells = [make("td", "drop-name", item.name), make("td", "", item.size ? size(item.size) : ""), make("td"), make("td", "", item.why)];
      cells[2].append(make("span", `badge ${KINDS[kind] || ""}`.trim(), words[kind] || kind));
      cells.forEach((cell, index) => { cell.dataset.label = heads[index]; made.append(cell); });
      if (line) line.replaceWith(made); else body.append(made);
    });
  };

  at("show").addEventListener("change", () => { page = 0; draw(true); });
  at("back").addEventListener("click", () => { page -= 1; draw(true); });
  at("next").addEventListener("click", () => { page += 1; draw(true); });

  if (localStorage.getItem(MARK) === "1") { at("run").hidden = true; note(words.again); }

  function note(said) {
    const line = make("p", "note", said);
    line.setAttribute("role", "status");
    form.before(line);
    form.addEventListener("change", () => line.remove(), { once: true });
  }
})();
