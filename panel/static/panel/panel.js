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

// The theme's search box is a box to click on; this makes it a button, and says what it finds.
document.addEventListener("DOMContentLoaded", () => {
  const box = [...document.querySelectorAll("[x-on\\:click]")].find((each) => each.getAttribute("x-on:click").includes("opencommand"));
  const words = box?.querySelector(".truncate");
  if (!words) return;
  words.textContent = "Search everything";
  box.title = "Name, permalink, address, host name, domain, uuid, or the beginning of a key";
  box.setAttribute("role", "button");
  box.tabIndex = 0;
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      box.click();
    }
  });
});
