// Replaces the parts of the page that changed, as the server sends them.
"use strict";
(() => {
  const connection = document.getElementById("connection");
  const texts = new Map();
  let late;

  function show(text, state) {
    connection.dataset.state = state;
    if (connection.textContent !== text) connection.textContent = text;
  }

  // An element that stays the same for the reader: focus and open details are kept.
  function same(element) {
    if (element.id) return document.getElementById(element.id);
    const href = element.getAttribute("href");
    if (!href) return null;
    const links = document.querySelectorAll("main a[href]");
    return Array.from(links).find((link) => link.getAttribute("href") === href);
  }

  function replace(old, part) {
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const value = focused && "value" in focused ? focused.value : null;
    const open = Array.from(old.querySelectorAll("details[open]"), (it) => it.id);
    const scrolled = Array.from(old.querySelectorAll(".wide"), (it) => it.scrollLeft);
    old.replaceChildren(...part.childNodes);
    for (const id of open) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
    old.querySelectorAll(".wide").forEach((it, i) => (it.scrollLeft = scrolled[i] || 0));
    const next = focused && same(focused);
    if (next) {
      if (value !== null) next.value = value;
      next.focus({ preventScroll: true });
    }
  }

  function update(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const part of page.querySelectorAll("[data-part]")) {
      const old = document.getElementById(part.id);
      const html = part.innerHTML;
      if (!old || (texts.get(part.id) ?? old.innerHTML) === html) continue;
      texts.set(part.id, html);
      replace(old, part);
    }
  }

  const events = new EventSource(location.pathname + location.search);
  events.onopen = () => {
    clearTimeout(late);
    late = undefined;
    show("Live", "live");
  };
  events.onmessage = (event) => update(event.data);
  // The server ends each connection after a minute, and the next one follows at once.
  events.onerror = () => {
    late ??= setTimeout(() => show("Not live: no connection. Trying again.", "lost"), 3000);
    if (events.readyState === EventSource.CLOSED) show("Not live. Reload for news.", "lost");
  };
})();
