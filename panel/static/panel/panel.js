// Copy buttons: <button data-copy="text">. Everything else on a page works without this file.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  navigator.clipboard.writeText(button.dataset.copy).then(() => {
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  });
});

document.addEventListener("DOMContentLoaded", () => {
  // Rows of a table that are added before saving: the last row's form is in a <template>, with __prefix__ for its number.
  document.querySelectorAll("[data-rows]").forEach((section) => {
    const add = section.querySelector("[data-add-row]");
    const total = section.querySelector(`#id_${section.dataset.rows}-TOTAL_FORMS`);
    add.hidden = false;
    add.addEventListener("click", () => {
      const row = section.querySelector("template").innerHTML.replaceAll("__prefix__", total.value);
      section.querySelector("tbody").insertAdjacentHTML("beforeend", row);
      total.value = Number(total.value) + 1;
      section.querySelector("tbody tr:last-child textarea, tbody tr:last-child input:not([type=hidden])").focus();
    });
  });
});

// Enter opens the first hit: the theme selects none until an arrow key is pressed, and then does nothing.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.metaKey || event.ctrlKey || event.target.id !== "search-input-command") return;
  const chosen = document.querySelector("#command-results-list li.active a");
  const first = document.querySelector("#command-results-list li a");
  if (chosen) return;
  event.stopPropagation();
  event.preventDefault();
  const text = event.target.value.trim();
  if (first && document.querySelector("#command-results-list").dataset.asked === text) window.location = first.href;
  else if (text) window.location = `${event.target.getAttribute("hx-get")}?s=${encodeURIComponent(text)}&go=1`;
}, true);

// The theme's search box is a box to click on; this makes it a button, and says what it finds.
document.addEventListener("DOMContentLoaded", () => {
  const box = [...document.querySelectorAll("[x-on\\:click]")].find((each) => each.getAttribute("x-on:click").includes("opencommand"));
  const words = box?.querySelector(".truncate");
  if (!words) return;
  words.textContent = "Search everything";
  box.title = "Name, permalink, address, host name, domain, UUID, or the beginning of a key";
  box.setAttribute("role", "button");
  box.tabIndex = 0;
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      box.click();
    }
  });
});

// What a chart's options cannot say as JSON: the page's font, the tooltip's last line, and which points are named: as many as
// there is room for, midnights before other hours.
if (window.Chart) {
  const STEPS = [1, 2, 3, 4, 6, 12, 24, 48, 96, 168, 336, 720];
  const ROOM = 52;
  // What the axes at both sides take of a chart.
  const AXES = 72;
  window.Chart.register({
    id: "sluice",
    beforeInit(chart) {
      const { ticks, marks, notes } = chart.config.data;
      if (!ticks) return;
      const { options } = chart.config;
      options.font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
      options.scales.x.ticks.callback = (value, index) => {
        const step = STEPS.find((each) => marks.filter((mark) => mark % each === 0).length * ROOM <= chart.width - AXES);
        return marks[index] % (step || 1440) === 0 ? ticks[index] : null;
      };
      const number = new Intl.NumberFormat("en-GB");
      options.plugins.tooltip.callbacks = {
        label: ({ dataset, parsed }) => {
          const isShare = dataset.yAxisID === "share";
          return ` ${dataset.label.replace(/ %$/, "")}: ${number.format(parsed.y)}${isShare ? " %" : ""}`;
        },
        footer: (items) => (notes && items.length ? notes[items[0].dataIndex] : ""),
      };
    },
  });
}

// On a phone the rows of a list are cards: each cell says the title of its column.
document.addEventListener("DOMContentLoaded", () => {
  const table = document.querySelector("#result_list");
  if (!table) return;
  const titles = [...table.querySelectorAll("thead th")].map((each) => each.querySelector(".text")?.textContent.trim() ?? "");
  table.querySelectorAll("tr.data-row").forEach((row) => {
    [...row.children].forEach((cell, index) => {
      if (titles[index] && !cell.classList.contains("action-checkbox")) cell.dataset.label = titles[index];
    });
  });
});

// So are rows of a record's tables that are wider than the screen; not those of forms and grids, nor those that say it themselves.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.matchMedia("(max-width: 760px)").matches) return;
  document.querySelectorAll(".panel-scroll > .panel-table:not(.panel-cards, .panel-stacks, .panel-rows, .panel-grid)").forEach((table) => {
    if (table.closest("form.panel-rows, details") || table.scrollWidth <= table.parentElement.clientWidth) return;
    const titles = [...table.querySelectorAll("thead th")].map((each) => each.textContent.replace("↓", "").trim());
    table.querySelectorAll("tbody tr, tfoot tr").forEach((row) => {
      [...row.children].forEach((cell, index) => { if (titles[index]) cell.dataset.label = titles[index]; });
    });
    table.classList.add("panel-as-cards");
  });
});

// A form is sent once: a second click would add a second record, whose key is all that is shown then. Where its page stays (a
// refusal in a dialog, a file, the way back) it can be sent again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  form.dataset.sent = "1";
  // Who signed in again meanwhile, in another tab or on the way back here, has another token than the page was opened with.
  const own = document.cookie.match(/(?:^|; )sluice_csrf=([^;]+)/), token = form.elements.csrfmiddlewaretoken;
  if (own && token) token.value = own[1];
  setTimeout(() => { if (event.defaultPrevented && !form.hasAttribute("hx-post")) delete form.dataset.sent; });
  setTimeout(() => { delete form.dataset.sent; }, 10_000);
}, true);
["pageshow", "htmx:afterRequest"].forEach((name) => window.addEventListener(name, () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
}));

// The first stop of the Tab key leads past the menu.
document.addEventListener("DOMContentLoaded", () => {
  const main = document.querySelector("#content");
  if (!main || !document.querySelector("#nav-sidebar")) return;
  main.tabIndex = -1;
  const link = document.createElement("a");
  link.href = "#content";
  link.className = "panel-skip";
  link.textContent = "Skip to the content";
  document.body.prepend(link);
});
