// Starts the viewer: its settings, and what it does not know by itself: that a session ends, that forms carry a
// token, that a machine cannot draw.
"use strict";

(() => {
  const told = document.querySelector("meta[name=leadglass-viewer]");
  const has = (name) => told.dataset[name] === "yes";
  const held = {}; // the viewer's services, once it runs
  let isOver = false;

  // --- notices -----------------------------------------------------------------------------------------------

  function say(name, change = () => {}) {
    document.querySelector(".leadglass-notice[data-shown]")?.remove();
    const notice = document.createElement("section");
    const box = document.createElement("div");
    const content = document.getElementById(name).content.cloneNode(true);
    const heading = content.querySelector("h1");
    notice.className = "leadglass-notice";
    notice.dataset.shown = name;
    notice.setAttribute("role", "alertdialog");
    notice.setAttribute("aria-modal", "true");
    heading.id = "leadglass-heading";
    heading.tabIndex = -1;
    notice.setAttribute("aria-labelledby", heading.id);
    change(content);
    box.append(content);
    notice.append(box);
    document.body.append(notice);
    notice.querySelector("[data-close]")?.addEventListener("click", () => notice.remove());
    (notice.querySelector("a, button") ?? heading).focus();
  }

  const ready = (then) =>
    document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", then) : then();

  // --- a session that ends --------------------------------------------------------------------------------------

  // Where one is: the image that is shown, as the viewer's own address has it.
  function here() {
    const query = new URLSearchParams(location.search);
    try {
      const { viewportGridService, cornerstoneViewportService } = held.services;
      const shown = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
      const parts = /\/series\/([0-9.]+)\/instances\/([0-9.]+)/.exec(shown.getCurrentImageId() ?? "");
      if (parts) {
        query.set("initialSeriesInstanceUID", parts[1]);
        query.set("initialSOPInstanceUID", parts[2]);
      }
    } catch {
      // It shows nothing yet, or no stack: the study is enough.
    }
    return `${location.pathname}?${query.toString().replaceAll("%2C", ",")}`;
  }

  function ended() {
    if (isOver) return;
    isOver = true;
    const back = `/sign-in?next=${encodeURIComponent(here())}`;
    ready(() => say("leadglass-ended", (content) => content.querySelector("[data-back]")?.setAttribute("href", back)));
  }

  // --- what the viewer asks the archive ---------------------------------------------------------------------------

  // Frames as stored, where the viewer decodes them; of anything else (JPEG XL, JPEG of 12 bits, …) the pixels.
  const DECODED = [
    ["application/octet-stream", ["1"]],
    ["image/dicom-rle", ["5"]],
    ["image/jpeg", ["4.50", "4.57", "4.70"]],
    ["image/jls", ["4.80", "4.81"]],
    ["image/jp2", ["4.90", "4.91"]],
    ["image/jphc", ["4.201", "4.202", "4.203"]],
  ].flatMap(([type, syntaxes]) =>
    syntaxes.map((each) => `multipart/related; type="${type}"; transfer-syntax=1.2.840.10008.1.2.${each}`),
  );
  const accepted = (url, said) =>
    /\/frames\/\d+$/.test(url) && /transfer-syntax="?\*/.test(said) && !String(said).includes(",")
      ? DECODED.join(", ")
      : said;

  const isOurs = (url) => new URL(url, location.href).origin === location.origin;
  const isSafe = (method) => ["GET", "HEAD", "OPTIONS"].includes(String(method).toUpperCase());

  function mayNotSend(method) {
    if (isSafe(method) || has("mayStore")) return false;
    say("leadglass-may-not-store");
    return true;
  }

  const { open, send, setRequestHeader } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    this.leadglass = { method, url: String(url), isOurs: isOurs(url) };
    return open.call(this, method, url, ...rest);
  };
  XMLHttpRequest.prototype.setRequestHeader = function (name, value) {
    const isAccept = this.leadglass?.isOurs && name.toLowerCase() === "accept";
    return setRequestHeader.call(this, name, isAccept ? accepted(this.leadglass.url, value) : value);
  };
  XMLHttpRequest.prototype.send = function (body) {
    const asked = this.leadglass;
    if (asked?.isOurs) {
      if (isOver) return; // nothing would come of it, some hundred times
      if (mayNotSend(asked.method)) {
        queueMicrotask(() => this.dispatchEvent(new ProgressEvent("error")));
        return;
      }
      if (!isSafe(asked.method)) this.setRequestHeader("X-Leadglass-CSRF", told.dataset.csrf);
      this.addEventListener("load", () => this.status === 401 && ended());
    }
    return send.call(this, body);
  };

  const fetched = window.fetch;
  window.fetch = async (what, how = {}) => {
    const request = what instanceof Request ? what : null;
    const method = how.method ?? request?.method ?? "GET";
    const ours = isOurs(request ? request.url : String(what));
    if (ours && isOver) return new Promise(() => {});
    if (ours && mayNotSend(method)) throw new TypeError("Not permitted.");
    if (ours) {
      const headers = new Headers(how.headers ?? request?.headers);
      if (!isSafe(method)) headers.set("X-Leadglass-CSRF", told.dataset.csrf);
      const accept = headers.get("Accept");
      if (accept) headers.set("Accept", accepted(request ? request.url : String(what), accept));
      how = { ...how, headers };
    }
    const answer = await fetched(what, how);
    if (ours && answer.status === 401) ended();
    return answer;
  };

  // --- a viewer that dies ------------------------------------------------------------------------------------------

  // When a part of it fails, all of it goes: an empty page, of which the viewer says nothing.
  function watch() {
    const root = document.getElementById("root");
    let [wasThere, empty] = [false, 0];
    setInterval(() => {
      const isThere = root.querySelector("canvas, svg, img, button") !== null || root.innerText.trim() !== "";
      wasThere ||= isThere;
      empty = isThere ? 0 : empty + 1;
      const shown = document.querySelector(".leadglass-notice[data-shown=leadglass-failed]");
      if (isThere) shown?.remove();
      else if (!shown && !isOver && empty >= (wasThere ? 3 : 60)) say("leadglass-failed");
    }, 1000);
  }

  // An image that cannot be decoded stays black; only the console says why.
  const UNDRAWN = /decodeTask|No decoder for|unsupported pixel format|Referenced displaySet is missing/;
  function undrawn(...words) {
    if (isOver || document.querySelector(".leadglass-bar")) return;
    if (!words.some((word) => UNDRAWN.test(String(word?.message ?? word?.error?.message ?? word)))) return;
    ready(() => {
      const bar = document.createElement("section");
      bar.className = "leadglass-bar";
      bar.setAttribute("role", "alert");
      bar.append(document.getElementById("leadglass-undrawn").content.cloneNode(true));
      bar.querySelector("[data-close]").addEventListener("click", () => bar.remove());
      document.body.append(bar);
    });
  }
  const { error: complained } = console;
  console.error = (...words) => {
    complained.apply(console, words);
    undrawn(...words);
  };
  window.addEventListener("error", (event) => undrawn(event.message, event.error));
  window.addEventListener("unhandledrejection", (event) => undrawn(event.reason));

  // --- what was measured and is not saved -----------------------------------------------------------------------

  addEventListener("beforeunload", (event) => {
    const measured = isOver ? [] : (held.services?.measurementService?.getMeasurements() ?? []);
    if (has("mayStore") && measured.some((each) => each.isDirty)) event.preventDefault(); // the browser asks
  });

  // --- settings -------------------------------------------------------------------------------------------------

  window.PUBLIC_URL = told.dataset.base;
  window.browserImportFunction = (name) => import(name);

  window.config = {
    name: "Leadglass",
    routerBasename: "/viewer",
    showStudyList: false,
    modes: [],
    extensions: [
      {
        id: "leadglass",
        preRegistration: ({ servicesManager }) => {
          held.services = servicesManager.services;
        },
      },
    ],
    // Whose images these are is always in sight, for who may know: two tabs may show two patients.
    showPatientInfo: has("names") ? "visibleReadOnly" : "disabled",
    customizationService: [
      // No tours; and of what a report is saved with, nothing that only a mouse can reach.
      { "ohif.tours": { $set: [] } },
      // The first image is the one that it is on every other page, not the one at an end of the patient.
      {
        instanceSortingCriteria: { $set: { defaultSortFunctionName: "sortByInstanceNumber", sortFunctions: {} } },
      },
    ],
    investigationalUseDialog: { option: "never" }, // ours is always in sight, beside the name
    whiteLabeling: {
      createLogoComponentFn: (React) =>
        React.createElement(
          "a",
          { className: "leadglass-brand", href: told.dataset.home },
          React.createElement("img", { src: "/static/leadglass.svg", alt: "", width: 24, height: 24 }),
          React.createElement("span", null, `‹ ${told.dataset.back}`),
          React.createElement("small", null, told.dataset.note),
        ),
    },
    showErrorDetails: "never",
    showCPUFallbackMessage: false,
    showWarningMessageForCrossOrigin: false,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    maxNumberOfWebWorkers: 3,
    maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
    defaultDataSourceName: "archive",
    dataSources: [
      {
        namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
        sourceName: "archive",
        configuration: {
          friendlyName: "Leadglass",
          name: "archive",
          qidoRoot: "/dicom-web",
          wadoRoot: "/dicom-web",
          wadoUriRoot: "/wado",
          qidoSupportsIncludeField: true,
          supportsFuzzyMatching: true,
          supportsWildcard: true,
          supportsReject: false,
          dicomUploadEnabled: false,
          imageRendering: "wadors",
          thumbnailRendering: "wadors",
          enableStudyLazyLoad: true,
          omitQuotationForMultipartRequest: true,
          bulkDataURI: { enabled: true, relativeResolution: "studies" },
        },
      },
    ],
    httpErrorHandler: (error) => {
      if (error?.status === 401 || error?.request?.status === 401) ended();
    },
  };

  // --- start ----------------------------------------------------------------------------------------------------

  function canDraw() {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") ?? canvas.getContext("webgl"));
  }

  ready(() => {
    if (!canDraw()) {
      say("leadglass-no-webgl");
      return;
    }
    watch();
    const script = document.createElement("script");
    script.src = told.content;
    document.body.append(script);
  });
})();
