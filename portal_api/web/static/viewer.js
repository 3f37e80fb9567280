// The viewer: one image, its boxes, its heat map.
"use strict";

const stage = document.getElementById("stage");
const picture = document.getElementById("picture");
const overlay = document.getElementById("overlay");
const boxes = document.getElementById("marks");
const placeholder = document.getElementById("placeholder");
const thumbs = [...document.querySelectorAll(".thumb")];
let current = null;

const pressed = (name) => document.getElementById(name).getAttribute("aria-pressed") === "true";

function toggle(name) {
  const button = document.getElementById(name);
  if (button.disabled) return;
  button.setAttribute("aria-pressed", String(!pressed(name)));
  draw();
}

function noPicture(reason) {
  placeholder.querySelector("p").textContent = reason;
  placeholder.hidden = false;
  picture.hidden = true;
}

// Labels are as large on the screen whatever the image's size: text in image pixels, scaled by the stage.
function sizeMarks() {
  if (!current) return;
  const rows = Number(current.dataset.rows), columns = Number(current.dataset.columns);
  const scale = Math.max(columns / (boxes.clientWidth || 1), rows / (boxes.clientHeight || 1));
  boxes.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
  for (const group of boxes.querySelectorAll("g")) {
    const box = group.querySelector("rect"), text = group.querySelector("text");
    const top = Number(box.getAttribute("y")), size = 13 * scale;
    const above = top > size * 1.6;
    text.setAttribute("font-size", size);
    text.setAttribute("y", above ? top - size * 0.45 : top + Number(box.getAttribute("height")) + size * 1.15);
  }
}

function draw() {
  if (!current) return;
  const source = current.dataset.src;
  const obstacle = current.dataset.obstacle;
  const hasHeat = current.dataset.overlay === "yes";
  const button = document.getElementById("heat");
  button.disabled = !hasHeat;
  button.title = hasHeat ? "" : "There is no heat map for this image";
  const heat = hasHeat && pressed("heat");
  if (heat && overlay.getAttribute("src") !== `${source}/overlay`) overlay.src = `${source}/overlay`;
  overlay.hidden = !heat;
  stage.classList.toggle("inverted", pressed("invert"));
  stage.classList.toggle("zoomed", pressed("actual"));
  for (const group of boxes.querySelectorAll("g")) {
    group.toggleAttribute("hidden", group.dataset.instance !== current.dataset.instance);
  }
  // The heat map is a picture of its own and has its boxes drawn in.
  boxes.toggleAttribute("hidden", !pressed("boxes") || heat || Boolean(obstacle));
  sizeMarks();
}

function show(thumb) {
  if (!thumb || thumb === current) return;
  current?.removeAttribute("aria-current");
  current = thumb;
  thumb.setAttribute("aria-current", "true");
  if (!thumb.classList.contains("folded")) thumb.scrollIntoView({ block: "nearest" });
  document.getElementById("caption").textContent = thumb.dataset.caption;
  placeholder.hidden = true;
  if (thumb.dataset.obstacle) noPicture(thumb.dataset.obstacle);
  else { picture.hidden = false; picture.src = thumb.dataset.src; }
  draw();
}

const showInstance = (instance) => show(thumbs.find((thumb) => thumb.dataset.instance === instance));
const step = (by) => show(thumbs[Math.min(Math.max(thumbs.indexOf(current) + by, 0), thumbs.length - 1)]);

picture.addEventListener("error", async () => {
  const source = current?.dataset.src;
  const response = await fetch(source);
  const told = response.headers.get("Content-Type")?.includes("json") ? await response.json() : {};
  if (current?.dataset.src === source) noPicture(told.detail ?? "The image does not load.");
});
for (const thumb of thumbs) {
  thumb.addEventListener("click", () => show(thumb));
  thumb.querySelector("img")?.addEventListener("error", (event) => {
    const cross = document.createElement("span");
    cross.className = "cross";
    cross.textContent = "no picture";
    event.target.replaceWith(cross);
  });
}
for (const name of ["boxes", "heat", "invert", "actual"]) {
  document.getElementById(name).addEventListener("click", () => toggle(name));
}
let wheeled = 0;
stage.addEventListener("wheel", (event) => {
  if (pressed("actual") || event.timeStamp - wheeled < 40) return;
  event.preventDefault();
  wheeled = event.timeStamp;
  step(Math.sign(event.deltaY));
}, { passive: false });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
  const act = {
    b: () => toggle("boxes"), h: () => toggle("heat"), i: () => toggle("invert"), z: () => toggle("actual"),
    ArrowDown: () => step(1), ArrowUp: () => step(-1),
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});
new ResizeObserver(sizeMarks).observe(stage);
show(thumbs.find((thumb) => thumb.dataset.instance === document.querySelector(".finding")?.dataset.instance) ?? thumbs[0]);
