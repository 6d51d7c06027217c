"use strict";
// Keeps the page "Live" fresh, and takes dropped photos. Pictures are asked for only while they can be seen, so that nothing is encoded for nobody.

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

// As the server writes it.
function fact([key, value]) {
  if (["id", "from", "into", "against"].includes(key)) return `${key}=P${value}`;
  if (typeof value === "string") return ["text", "state"].includes(key) ? value : `${key}: ${value}`;
  return `${key}=${Number.isInteger(value) || typeof value !== "number" ? value : value.toFixed(2)}`;
}

function events(list) {
  const source = new EventSource("/api/events");
  const add = message => {
    const note = JSON.parse(message.data);
    const facts = Object.entries(note).filter(([key]) => !["time_ns", "event", "camera"].includes(key)).map(fact);
    const when = new Date(note.time_ns / 1e6).toISOString().slice(0, 19).replace("T", " ") + "Z";
    list.prepend(element("li", [when, note.camera, note.event, ...facts].filter(Boolean).join(" ")));
    while (list.children.length > EVENTS) list.lastChild.remove();
  };
  for (const kind of ["camera", "change", "reload", "warning", "identity-new", "identity-matched", "identity-merged",
    "identity-split", "identity-corrected", "identity-lost", "identity-left"]) source.addEventListener(kind, add);
}

// Photos are dropped or chosen; the answer comes without leaving the page, so that the photo stays beside it.
function finder(form) {
  const input = form.elements.photo, preview = form.querySelector(".preview"), found = document.getElementById("found");
  const say = text => found.replaceChildren(element("p", text, { class: "error", role: "alert" }));
  const show = () => {
    URL.revokeObjectURL(preview.src);
    const [file] = input.files;
    preview.hidden = !file;
    if (file) preview.src = URL.createObjectURL(file);
  };
  const find = async event => {
    event.preventDefault();
    show();
    const [file] = input.files;
    if (!file) return;
    if (file.size > form.dataset.most) { say(form.dataset.tooLarge); return; }
    found.replaceChildren(element("p", "Looking …"));
    const answer = await fetch("/find", { method: "POST", body: new FormData(form) }).catch(() => null);
    if (!answer) { say("The program does not answer."); return; }
    if (answer.status === 401) { location.href = "/login"; return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("found");
    if (page) found.replaceChildren(...page.childNodes); else say(`The program refuses: ${answer.status}.`);
    hidePictures(found);
  };
  const over = is => event => { event.preventDefault(); form.classList.toggle("over", is); };
  form.querySelector(".drop").hidden = false;
  form.addEventListener("submit", find);
  input.addEventListener("change", show);
  form.addEventListener("dragover", over(true));
  form.addEventListener("dragleave", over(false));
  form.addEventListener("drop", event => {
    over(false)(event);
    if (event.dataTransfer.files.length) { input.files = event.dataTransfer.files; form.requestSubmit(); }
  });
}

// Of some people no picture is kept.
function hidePictures(where) {
  where.querySelectorAll(".card img").forEach(image => {
    if (image.complete && !image.naturalWidth) image.remove();
    image.addEventListener("error", () => image.remove());
  });
}

hidePictures(document);
document.querySelectorAll("img[data-picture]").forEach(follow);
document.querySelectorAll("form.find").forEach(finder);
const list = document.getElementById("events");
if (list) { states(); events(list); }
