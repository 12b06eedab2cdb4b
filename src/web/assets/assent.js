// Adds to pages that work without it: countdowns that run, a queue that refreshes itself, keys to move in it.
(() => {
  "use strict";

  // The server's clock, not this machine's.
  let skew = 0;
  const setClock = (root) => {
    const told = root.querySelector("[data-now]");
    if (told) skew = Date.parse(told.dataset.now) - Date.now();
  };

  // The same words as on the server: the two largest units, then "left" or "late".
  const span = (ms) => {
    const minutes = Math.floor(Math.abs(ms) / 60000);
    const [d, h, m] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
    const text = d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : `${m} min`;
    return `${text} ${ms < 0 ? "late" : "left"}`;
  };
  const countDown = () => {
    for (const one of document.querySelectorAll("[data-due]")) {
      const text = span(Date.parse(one.dataset.due) - Date.now() - skew);
      if (one.textContent !== text) one.textContent = text;
    }
  };
  setClock(document);
  setInterval(countDown, 15000);

  const queue = document.getElementById("queue");
  if (!queue) return;
  const news = document.getElementById("queue-news");
  const links = () => [...queue.querySelectorAll("a.go")];

  const move = (step) => {
    const all = links();
    if (!all.length) return;
    const here = all.indexOf(document.activeElement);
    const next = here < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + step, 0), all.length - 1);
    all[next].focus();
    all[next].closest("tr").scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, button")) return;
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
  });

  // Fetches the table anew and keeps the place of whoever stands in it.
  let running = false;
  let again = false;
  const refresh = async () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    const before = links().map((link) => link.getAttribute("href"));
    try {
      const answer = await fetch(queue.dataset.fragment, { headers: { accept: "text/html" }, redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const html = await answer.text();
      const focused = queue.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const fresh = new DOMParser().parseFromString(html, "text/html").body;
      queue.replaceChildren(...fresh.childNodes);
      setClock(queue);
      countDown();
      const after = links();
      if (focused) after.find((link) => link.getAttribute("href") === focused)?.focus();
      const added = after.filter((link) => !before.includes(link.getAttribute("href"))).length;
      if (added) news.textContent = added === 1 ? "1 new case" : `${added} new cases`;
      else if (after.length !== before.length) news.textContent = `${after.length} cases shown`;
      else news.textContent = "";
    } catch {
      news.textContent = "This list is no longer fresh. Reload the page.";
    }
    running = false;
    if (again) {
      again = false;
      refresh();
    }
  };
  const events = new EventSource(queue.dataset.events);
  events.addEventListener("changed", refresh);
  // Due bands move with time alone.
  setInterval(() => document.hidden || refresh(), 60000);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
})();
