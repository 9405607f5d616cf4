import { redraw } from "./chart.js";

const order = ["auto", "light", "dark"];

/** theme lets a button go through the themes; the choice is kept in this browser. */
export function theme(button) {
  const root = document.documentElement;
  const show = () => {
    button.textContent = `Theme: ${root.dataset.theme ?? "auto"}`;
    redraw();
  };
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(root.dataset.theme ?? "auto") + 1) % order.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("vxgw-theme", next);
    } catch { /* it holds for this page */ }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}
