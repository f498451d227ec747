// A page that is opened as a file may not read other pages: the search then shows titles without excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// What scrolls sideways can be reached by the keyboard.
addEventListener("load", () => {
  for (const caption of document.querySelectorAll(".sidebar-tree .caption")) caption.ariaLevel = "2"; // the theme gives none
  for (const box of document.querySelectorAll(".table-wrapper, .highlight pre, .output pre")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});
