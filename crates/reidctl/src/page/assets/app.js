"use strict";
// Keeps the page "Live" fresh. Pictures are asked for only while they can be seen, so that nothing is encoded for nobody.

const PAUSE = 150, RETRY = 2000, STATES = 1000, EVENTS = 20;

function follow(image) {
  let visible = false, waiting = false;
  const next = () => {
    if (!visible || document.hidden || waiting) return;
    waiting = true;
    image.src = image.dataset.picture + "?" + Date.now();
  };
  const later = pause => () => { waiting = false; setTimeout(next, pause); };
  image.addEventListener("load", later(PAUSE));
  image.addEventListener("error", later(RETRY));
  document.addEventListener("visibilitychange", next);
  new IntersectionObserver(seen => { visible = seen.at(-1).isIntersecting; next(); }).observe(image);
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function dot(colour) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg"), circle = document.createElementNS(space, "circle");
  svg.setAttribute("viewBox", "0 0 10 10");
  svg.setAttribute("class", "dot");
  svg.setAttribute("aria-hidden", "true");
  for (const [key, value] of [["cx", 5], ["cy", 5], ["r", 5], ["fill", colour]]) circle.setAttribute(key, value);
  svg.append(circle);
  return svg;
}

async function states() {
  if (!document.hidden) {
    const answer = await fetch("/api/cameras").catch(() => null);
    if (answer && answer.status === 401) { location.href = "/login"; return; }
    if (answer && answer.ok) (await answer.json()).cameras.forEach(show);
  }
  setTimeout(states, STATES);
}

function show(camera) {
  const tile = document.querySelector(`[data-camera="${CSS.escape(camera.name)}"]`);
  if (!tile) { location.reload(); return; }
  const state = tile.querySelector(".state");
  state.textContent = state.dataset.state = camera.state;
  tile.querySelector(".facts").textContent = `${camera.fps.toFixed(1)} frames/s, ${camera.today} today`;
  tile.querySelector(".error").textContent = camera.error || "";
  tile.querySelector(".inview").replaceChildren(...camera.people.map(person => {
    const item = element("li", "");
    item.append(dot(person.colour), element("a", person.name || `P${person.id}`, { href: `/people/${person.id}` }));
    if (person.state === "pending") item.append(" ?");
    return item;
  }));
}

function events(list) {
  const source = new EventSource("/api/events");
  const add = message => {
    const note = JSON.parse(message.data);
    const facts = Object.entries(note).filter(([key]) => !["time_ns", "event", "camera"].includes(key))
      .map(([key, value]) => `${key}=${typeof value === "number" ? +value.toFixed(2) : value}`);
    const when = new Date(note.time_ns / 1e6).toISOString().slice(0, 19).replace("T", " ") + "Z";
    list.prepend(element("li", [when, note.camera, note.event, ...facts].filter(Boolean).join(" ")));
    while (list.children.length > EVENTS) list.lastChild.remove();
  };
  for (const kind of ["camera", "change", "reload", "warning", "identity-new", "identity-matched", "identity-merged",
    "identity-split", "identity-corrected", "identity-lost", "identity-left"]) source.addEventListener(kind, add);
}

// Of some people no picture is kept.
document.querySelectorAll(".card img").forEach(image => {
  if (image.complete && !image.naturalWidth) image.remove();
  image.addEventListener("error", () => image.remove());
});
document.querySelectorAll("img[data-picture]").forEach(follow);
const list = document.getElementById("events");
if (list) { states(); events(list); }
