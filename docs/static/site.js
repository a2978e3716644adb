// What the theme leaves out for people who read with a keyboard, or hear the page.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll(".sidebar-tree .caption")) {
    caption.ariaLevel = "2";
  }
  const results = document.getElementById("search-results");
  if (results) {
    const heading = document.createElement("h1");
    heading.textContent = "Search";
    results.before(heading);
  }
  // On a narrow screen the theme opens two lists by labels, which take no focus: make them buttons.
  for (const [name, box, list] of [
    ["All pages", "__navigation", ".sidebar-drawer"],
    ["On this page", "__toc", ".toc-drawer"],
  ]) {
    const opened = document.getElementById(box);
    const drawer = document.querySelector(list);
    const seen = (elements) => [...elements].find((element) => element.checkVisibility());
    drawer.ariaLabel = name;
    const buttons = [...document.querySelectorAll(`label[for=${box}]:not(.overlay)`)].map((label) => {
      const button = document.createElement("button");
      button.className = label.className;
      button.ariaLabel = name;
      button.append(...label.children);
      button.addEventListener("click", () => {
        opened.click();
        if (opened.checked) seen(drawer.querySelectorAll("a"))?.focus();
      });
      label.replaceWith(button);
      return button;
    });
    const tell = () => buttons.forEach((button) => { button.ariaExpanded = opened.checked; });
    opened.addEventListener("change", tell);
    tell();
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !opened.checked) return;
      const wasIn = drawer.contains(document.activeElement);
      opened.click();
      if (wasIn) seen(buttons)?.focus();
    });
  }
  // What scrolls can be reached by Tab, and then be scrolled by the arrows.
  for (const box of document.querySelectorAll("pre, .table-wrapper, .cell_output")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});
