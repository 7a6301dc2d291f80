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

// Look-ups are named by their labels for screen readers; select2 names them by their value, which may be none.
window.addEventListener("load", () => {
  document.querySelectorAll("select.admin-autocomplete").forEach((select) => {
    const label = document.querySelector(`label[for="${select.id}"]`);
    const box = select.parentElement.querySelector("[role=combobox]");
    if (!label || !box) return;
    label.id = label.id || `label-${select.id}`;
    box.setAttribute("aria-labelledby", `${label.id} ${box.getAttribute("aria-labelledby") || ""}`.trim());
  });
});
