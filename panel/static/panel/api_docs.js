// What Swagger UI 5 leaves out for keyboards and screen readers: names of its choices, and examples that can be scrolled.
"use strict";
new MutationObserver(() => {
  for (const choice of document.querySelectorAll(".swagger-ui select:not([aria-label], [id])")) {
    choice.setAttribute("aria-label", "Choice of an example, type or value");
  }
  for (const example of document.querySelectorAll(".swagger-ui pre:not([tabindex])")) {
    example.tabIndex = 0;
  }
}).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
