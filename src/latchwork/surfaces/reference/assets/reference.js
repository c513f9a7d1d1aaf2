"use strict";

// Everything on the page works without this file; it adds a filter, copying, and a choice of theme.

const theme = document.getElementById("theme");
const themes = ["system", "light", "dark"];

function paint(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  theme.textContent = name;
  theme.title = `Theme: ${name}`;
}

function remembered() {
  try {
    return themes.includes(localStorage.theme) ? localStorage.theme : "system";
  } catch {
    return "system"; // storage may be switched off
  }
}

theme.hidden = false;
paint(remembered());
theme.addEventListener("click", () => {
  const next = themes[(themes.indexOf(remembered()) + 1) % themes.length];
  try {
    localStorage.theme = next;
  } catch {
    // It holds for this page only.
  }
  paint(next);
});

const find = document.getElementById("find");
const nothing = document.getElementById("nothing");

function filter() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const section of document.querySelectorAll("nav section")) {
    let inSection = 0;
    for (const entry of section.querySelectorAll("li")) {
      entry.hidden = !words.every((word) => entry.dataset.words.includes(word));
      inSection += entry.hidden ? 0 : 1;
    }
    section.hidden = inSection === 0;
    shown += inSection;
  }
  nothing.hidden = shown > 0;
}

find.addEventListener("input", filter);
find.addEventListener("keydown", (event) => {
  if (event.key === "Enter") document.querySelector("nav li:not([hidden]) a")?.click();
  if (event.key === "Escape") {
    find.value = "";
    filter();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/input|textarea/i.test(document.activeElement.tagName)) {
    event.preventDefault();
    find.focus();
  }
});

for (const code of document.querySelectorAll("code.curl")) {
  code.textContent = code.textContent.replace("http://127.0.0.1:8765", location.origin);
}

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.closest("figure").querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}

const links = new Map();
for (const link of document.querySelectorAll("nav li a")) links.set(link.hash.slice(1), link);

const inView = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  },
  { rootMargin: "0px 0px -80% 0px" },
);
for (const article of document.querySelectorAll("article")) inView.observe(article);
