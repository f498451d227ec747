/* The switch between light and dark, for pages without other scripts. */
"use strict";

window.clip360.themeSwitch(document.getElementById("theme"));
