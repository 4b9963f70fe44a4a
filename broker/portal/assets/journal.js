// The live tail of the journal: new records appear above the others as long as the button is pressed.
"use strict";

const button = document.querySelector("[data-tail]");
const state = document.querySelector("[data-tail-state]");
const MOST_ROWS = 500;
let stream;

function add(event) {
  const table = document.querySelector("[data-records]");
  const template = document.createElement("template");
  template.innerHTML = JSON.parse(event.data).rows; // made by the server's template, which escapes what others wrote
  const isShown = (row) => table.querySelector(`[data-record="${CSS.escape(row.dataset.record)}"]`) !== null;
  const rows = [...template.content.querySelectorAll("tr")].filter((row) => !isShown(row));
  if (!rows.length) return;
  for (const row of rows) row.classList.add("new");
  table.prepend(...rows);
  while (table.rows.length > MOST_ROWS) table.rows[table.rows.length - 1].remove();
  document.querySelector("[data-empty]")?.remove();
  document.getElementById("announcer").textContent = `${rows.length} ${state.dataset.arrived}`;
}

function stop(text) {
  stream?.close();
  stream = undefined;
  button.setAttribute("aria-pressed", "false");
  state.textContent = text;
}

function start() {
  stream = new EventSource(button.dataset.tail);
  button.setAttribute("aria-pressed", "true");
  state.textContent = state.dataset.live;
  stream.addEventListener("records", add);
  stream.addEventListener("ended", () => stop(state.dataset.ended));
  stream.addEventListener("error", () => {
    if (stream?.readyState === EventSource.CLOSED) stop(state.dataset.ended);
  });
}

button?.addEventListener("click", () => (stream ? stop("") : start()));
