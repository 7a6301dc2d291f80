// Select2 names its boxes by what is chosen; where nothing is, a screen reader says nothing. This adds the field's label.
const nameSelects = () => {
  for (const box of document.querySelectorAll(".select2-selection[aria-labelledby]:not([data-named])")) {
    const select = box.closest(".select2")?.previousElementSibling;
    const label = select?.id && document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
    if (!label) continue;
    label.id ||= `${select.id}-label`;
    box.setAttribute("aria-labelledby", `${label.id} ${box.getAttribute("aria-labelledby")}`);
    box.querySelector(".select2-selection__rendered")?.setAttribute("aria-labelledby", label.id);
    box.dataset.named = "";
  }
};
// Select2 dresses a field when it gets to it: at the start, and again for each row that is added.
document.addEventListener("DOMContentLoaded", () => {
  nameSelects();
  new MutationObserver(nameSelects).observe(document.body, { childList: true, subtree: true });
});
