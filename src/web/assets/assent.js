// Enhances pages that also work without it: running countdowns, a queue that refreshes automatically, keys to move in it.
(() => {
  "use strict";

  // The difference between the server's clock and this computer's clock.
  let clockOffset = 0;
  const setClock = (root) => {
    const element = root.querySelector("[data-now]");
    if (element) clockOffset = Date.parse(element.dataset.now) - Date.now();
  };

  // The same format as on the server: the two largest units, then "left" or "overdue".
  const timeLeft = (ms) => {
    const minutes = Math.floor(Math.abs(ms) / 60000);
    const [d, h, m] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
    const text = d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : `${m} min`;
    return `${text} ${ms < 0 ? "overdue" : "left"}`;
  };
  const countDown = () => {
    for (const element of document.querySelectorAll("[data-due]")) {
      const text = timeLeft(Date.parse(element.dataset.due) - Date.now() - clockOffset);
      if (element.textContent !== text) element.textContent = text;
    }
  };
  setClock(document);
  setInterval(countDown, 15000);

  const queue = document.getElementById("queue");
  if (!queue) return;
  const status = document.getElementById("queue-status");
  const links = () => [...queue.querySelectorAll("a.case-link")];

  const move = (step) => {
    const all = links();
    if (!all.length) return;
    const current = all.indexOf(document.activeElement);
    const next = current < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(current + step, 0), all.length - 1);
    all[next].focus();
    all[next].closest("tr").scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, button")) return;
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
  });

  // Fetches the table again and keeps the focus on the same case.
  let isRefreshing = false;
  let refreshAgain = false;
  const refresh = async () => {
    if (isRefreshing) {
      refreshAgain = true;
      return;
    }
    isRefreshing = true;
    const before = links().map((link) => link.getAttribute("href"));
    try {
      const response = await fetch(queue.dataset.tableUrl, { headers: { accept: "text/html" }, redirect: "error" });
      if (!response.ok) throw new Error(String(response.status));
      const html = await response.text();
      const focused = queue.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const fresh = new DOMParser().parseFromString(html, "text/html").body;
      queue.replaceChildren(...fresh.childNodes);
      setClock(queue);
      countDown();
      const after = links();
      if (focused) after.find((link) => link.getAttribute("href") === focused)?.focus();
      const added = after.filter((link) => !before.includes(link.getAttribute("href"))).length;
      if (added) status.textContent = added === 1 ? "1 new case" : `${added} new cases`;
      else if (after.length !== before.length) status.textContent = `${after.length} cases shown`;
      else status.textContent = "";
    } catch {
      status.textContent = "The queue could not be updated. Reload the page.";
    }
    isRefreshing = false;
    if (refreshAgain) {
      refreshAgain = false;
      refresh();
    }
  };
  const events = new EventSource(queue.dataset.eventsUrl);
  events.addEventListener("changed", refresh);
  // The due-time badges also change as time passes.
  setInterval(() => document.hidden || refresh(), 60000);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
})();
