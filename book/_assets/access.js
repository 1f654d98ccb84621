// Names that screen readers read, where the theme and the widgets give none or one that differs from what is seen.
document.addEventListener("DOMContentLoaded", () => {
  // a label that is not the visible text; without it the text itself is the name
  for (const node of document.querySelectorAll("summary[aria-label], button.search-button-field[aria-label]")) node.removeAttribute("aria-label");
  // lists of references whose entries have a role of their own, which no list may contain
  for (const node of document.querySelectorAll(".citation-list[role=list]")) node.removeAttribute("role");
  // sliders of widgets, which appear later than the page
  const name = () => {
    for (const handle of document.querySelectorAll(".noUi-handle:not([aria-label])")) {
      handle.setAttribute("aria-label", handle.closest(".widget-inline-hbox")?.querySelector(".widget-label")?.textContent.trim() || "value");
    }
  };
  name();
  if (document.querySelector('script[type^="application/vnd.jupyter.widget"]')) new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
});
// On paper nothing can be opened: what is folded is printed, code excepted (book.css).
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll(".bd-article details:not(.hide)")) fold.open = true;
});
// One switch a page for its code. Without scripts every cell keeps its own fold.
document.addEventListener("DOMContentLoaded", () => {
  const cells = document.querySelectorAll(".bd-article details.above-input"), place = document.querySelector(".article-header-buttons");
  if (!cells.length || !place) return;
  const button = Object.assign(document.createElement("button"), { className: "btn btn-sm show-code", type: "button" });
  const show = (shown) => {
    document.body.classList.toggle("code-hidden", !shown);
    button.setAttribute("aria-pressed", shown);
    button.textContent = shown ? "Hide code" : "Show code";
    for (const cell of cells) cell.open = shown;
  };
  button.addEventListener("click", () => show(document.body.classList.contains("code-hidden")));
  place.prepend(button);
  show(false);
});
// What is wider than its box fades out where more is to be seen (book.css).
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  const fade = (box) => {
    const left = Math.abs(box.scrollLeft), rest = box.scrollWidth - box.clientWidth - left;
    box.classList.toggle("more-left", left > 3);
    box.classList.toggle("more-right", rest > 3);
  };
  const sizes = new ResizeObserver((seen) => seen.forEach(({ target }) => fade(target)));
  for (const box of document.querySelectorAll('.bd-article :is(mjx-container[display="true"], .pst-scrollable-table-container, pre)')) {
    sizes.observe(box);
    box.addEventListener("scroll", () => fade(box), { passive: true });
  }
});
// Figures that answer, on the pages that have some.
if (document.currentScript) {
  const source = new URL("live/figures.js", document.currentScript.src);
  document.addEventListener("DOMContentLoaded", () => {
    if (document.querySelector("script.answers")) document.head.append(Object.assign(document.createElement("script"), { src: source }));
  });
}
// An album opens at the choices that the page's address names: #data+set=uniform&seed=0&d=7
addEventListener("DOMContentLoaded", () => {
  const said = (node) => node?.textContent.replace(/\s+/g, " ").trim(); // widgets put no-break spaces
  const pause = () => new Promise((done) => setTimeout(done, 100)); // a widget that is not yet shown cannot be switched
  const choose = async () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    for (const box of document.querySelectorAll(".widget-inline-hbox")) {
      const value = wanted.get(said(box.querySelector(".widget-label")));
      const [list, handle] = [box.querySelector("select"), box.querySelector(".noUi-handle")];
      if (value === null || !(list || handle)) continue;
      if (list) {
        list.selectedIndex = Math.max(0, [...list.options].findIndex((option) => said(option) === value));
        list.dispatchEvent(new Event("change", { bubbles: true }));
        await pause();
        continue;
      }
      const press = (key) => (handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })), pause());
      const at = (name) => Number(handle.getAttribute(`aria-value${name}`));
      await press("Home");
      while (said(box.querySelector(".widget-readout")) !== value && at("now") < at("max")) await press("ArrowRight");
    }
  };
  if (!document.querySelector('script[type^="application/vnd.jupyter.widget"]')) return;
  addEventListener("hashchange", choose);
  if (!location.hash.includes("=")) return;
  const seen = new MutationObserver(() => {
    if (!document.querySelector(".noUi-handle")) return;
    seen.disconnect();
    setTimeout(choose, 300); // the widgets are linked to one another a moment after they are shown
  });
  seen.observe(document.body, { childList: true, subtree: true });
});
