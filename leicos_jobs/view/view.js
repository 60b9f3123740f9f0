// The demo follows the generated video, a line in each panel shows the moment, and a click on a panel goes there.
"use strict";
const generated = document.getElementById("generated");
const demo = document.getElementById("demo");
const panels = document.querySelector(".panels");
const lead = generated || demo;

if (lead && panels) {
  const seconds = Number(panels.dataset.seconds);
  const first = Number(demo.dataset.first);
  const start = lead === demo ? first : 0;
  if (lead === demo) demo.controls = true;

  const show = () => {
    const at = lead.currentTime - start;
    for (const line of panels.querySelectorAll(".now")) {
      const x = (Math.max(0, Math.min(1, at / seconds)) * line.ownerSVGElement.viewBox.baseVal.width).toFixed(1);
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    }
    if (lead !== demo && Math.abs(demo.currentTime - first - at) > (lead.paused ? 0.01 : 0.15)) demo.currentTime = first + at;
  };
  const tick = () => {
    show();
    if (!lead.paused) requestAnimationFrame(tick);
  };
  lead.addEventListener("play", () => {
    if (lead !== demo) demo.play().catch(() => {});
    tick();
  });
  lead.addEventListener("pause", () => lead !== demo && demo.pause());
  lead.addEventListener("seeked", show);
  demo.addEventListener("loadedmetadata", () => { if (!demo.currentTime) demo.currentTime = first; });
  if (demo.readyState && !demo.currentTime) demo.currentTime = first;
  panels.addEventListener("click", (event) => {
    const svg = event.target.closest("svg");
    if (!svg) return;
    const box = svg.getBoundingClientRect();
    lead.currentTime = start + ((event.clientX - box.left) / box.width) * seconds;
  });
}
