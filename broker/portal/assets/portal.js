// What pages do better with a script: copy, count down, filter, change the theme in place. Every page works without.
"use strict";

document.documentElement.classList.add("has-script");
const announcer = document.getElementById("announcer");

// Copy: a button says which element's text it copies.
async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = button.dataset.copied;
    announcer.textContent = button.dataset.copied;
  } catch {
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }
  setTimeout(() => {
    button.textContent = label;
    announcer.textContent = "";
  }, 2000);
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => copy(button));
}

// Count down to the end of credentials, by this machine's clock but from the server's moment.
const countdown = document.querySelector("[data-seconds-left]");
if (countdown) {
  const end = performance.now() + Number(countdown.dataset.secondsLeft) * 1000;
  const show = () => {
    const left = Math.round((end - performance.now()) / 1000);
    if (left <= 0) {
      document.querySelector(".credentials").classList.add("has-ended");
      countdown.textContent = countdown.dataset.ended;
      return;
    }
    const hours = Math.floor(left / 3600);
    const minutes = String(Math.floor((left % 3600) / 60)).padStart(hours ? 2 : 1, "0");
    const seconds = String(left % 60).padStart(2, "0");
    countdown.textContent = hours ? `${hours}:${minutes}:${seconds}` : `${minutes}:${seconds}`;
    setTimeout(show, 1000);
  };
  show();
}

// Begin with the field that was refused, where nothing has the focus. An address with `#…` takes it from every other
// element, `autofocus` included, and does so until the page is loaded.
addEventListener("load", () => {
  if (document.activeElement === document.body) {
    document.querySelector('main [aria-invalid="true"]')?.focus({ preventScroll: true });
  }
});

// Go on by itself from a page that only hands something over.
document.querySelector("form[data-goes-on]")?.requestSubmit();
document.querySelector("a[data-goes-on]")?.click();

// A file that is chosen is read into a text, whose form sends it.
for (const chooser of document.querySelectorAll("[data-reads-into]")) {
  chooser.addEventListener("change", async () => {
    const file = chooser.files[0];
    if (file) document.getElementById(chooser.dataset.readsInto).value = await file.text();
  });
}

// Filter a list while the person types; the form asks the server for the same.
const search = document.querySelector("[data-filters]");
if (search) {
  const narrow = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of document.querySelectorAll("[data-group]")) {
      const rows = [...group.querySelectorAll("[data-searched]")];
      const heading = group.querySelector("header")?.textContent ?? "";
      for (const row of rows) {
        // What the row says of itself, or else its name and the heading above it.
        const text = row.dataset.searched || `${heading} ${row.querySelector(".row-name").textContent}`;
        row.hidden = !words.every((word) => text.toLowerCase().includes(word));
      }
      group.hidden = rows.every((row) => row.hidden);
    }
  };
  search.addEventListener("input", narrow);
}

// Keys: / searches, ? lists the keys, g and a letter go to a page. Never while somebody types, nor with another key
// held, nor where the person has turned them off: then the list of them is not on the page.
const keys = document.querySelector("[data-keys]");
if (keys) {
  const LONGEST_PAUSE = 2000;
  let began = -LONGEST_PAUSE;
  const isFree = (event) =>
    !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing && !keys.open &&
    !event.target.closest?.("input, select, textarea, [contenteditable]");
  addEventListener("keydown", (event) => {
    if (!isFree(event)) return;
    const isSecond = performance.now() - began < LONGEST_PAUSE;
    began = -LONGEST_PAUSE;
    const all = document.querySelector("[data-search]");
    if (isSecond && event.key.length === 1) {
      document.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
    } else if (event.key === "g") {
      began = performance.now();
    } else if (event.key === "/" && all) {
      event.preventDefault();
      if (!all.checkVisibility()) all.closest("[popover]").showPopover();
      all.focus();
      all.select();
    } else if (event.key === "?") {
      keys.showModal();
    }
  });
}

// The theme: the same form, sent without leaving the page.
const themes = document.querySelector("[data-themes]");
if (themes) {
  themes.addEventListener("submit", async (event) => {
    event.preventDefault();
    const theme = event.submitter.value;
    const form = new URLSearchParams(new FormData(themes));
    form.set("theme", theme);
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    for (const button of themes.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button === event.submitter));
    }
    await fetch(themes.action, { method: "POST", body: form, redirect: "manual" });
  });
}


// A form is sent once: a second click, while the answer is on its way, would do the same thing again. Afterwards the
// page is where it was, with the focus in the same form; where something was refused, it begins with that.
const PLACE = "place";
const LONGEST_ANSWER = 10000;
addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.getAttribute("method") !== "post") return;
  if ("sent" in form.dataset) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "";
  setTimeout(() => delete form.dataset.sent, LONGEST_ANSWER);
  const operation = form.querySelector('input[name="do"]')?.value ?? "";
  sessionStorage.setItem(PLACE, JSON.stringify({ path: location.pathname, top: scrollY, operation }));
});
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.forms) delete form.dataset.sent; // the way back leads to the same page
});
const place = JSON.parse(sessionStorage.getItem(PLACE));
sessionStorage.removeItem(PLACE);
if (place?.path === location.pathname && !location.hash && !document.querySelector("[role=alert]")) {
  scrollTo(0, place.top);
  const sent = document.querySelector(`input[name="do"][value="${CSS.escape(place.operation)}"]`);
  sent?.form.querySelector("input:not([type=hidden]), select, button")?.focus({ preventScroll: true });
}

// The policy editor: while the person types, the server reads the text and says what it finds.
const editor = document.querySelector("[data-check]");
if (editor) {
  const findings = document.getElementById("findings");
  let waiting;
  const check = async () => {
    const form = new URLSearchParams({
      csrf_token: editor.form.elements.csrf_token.value,
      kind: editor.dataset.policyKind,
      text: editor.value,
    });
    const asked = editor.value;
    const answer = await fetch(editor.dataset.check, { method: "POST", body: form, redirect: "manual" });
    if (answer.ok && asked === editor.value) findings.innerHTML = await answer.text();
  };
  editor.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(check, 300);
  });
  findings.addEventListener("click", (event) => {
    const line = Number(event.target.dataset.goToLine);
    if (!line) return;
    const lines = editor.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    editor.focus();
    editor.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  });
}
