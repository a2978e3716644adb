// What the theme leaves out for people who read with a keyboard, or hear the page.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll(".sidebar-tree .caption")) {
    caption.ariaLevel = "2";
  }
  document.querySelector(".sidebar-drawer").ariaLabel = "All pages";
  document.querySelector(".toc-drawer").ariaLabel = "On this page";
  // What scrolls can be reached by Tab, and then be scrolled by the arrows.
  for (const box of document.querySelectorAll("pre, .table-wrapper, .cell_output")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});
