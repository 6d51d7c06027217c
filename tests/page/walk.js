// Walks through the page of `reidctl run` with a browser: every page, wide and narrow, light and dark, with the mouse and with the
// keyboard alone. scripts/test-page.sh runs it. Screenshots go to the folder that is given, for people to look at.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

import { start } from "./program.js";
import { Watched } from "./watched.js";

const [program, pictures] = process.argv.slice(2);
if (!program || !pictures) throw new Error("usage: node walk.js REIDCTL FOLDER-FOR-SCREENSHOTS");
const PATIENCE = 60_000;
const WIDE = { width: 1280, height: 900 }, NARROW = { width: 390, height: 844 };

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "page-walk-"));
fs.mkdirSync(pictures, { recursive: true });
const running = await start(program, folder);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

async function until(what, look) {
  const begin = Date.now();
  for (;;) {
    const found = await look();
    if (found) return found;
    assert(Date.now() - begin < PATIENCE, `${what} did not come`);
    await new Promise(resolve => setTimeout(resolve, 300));
  }
}

const ask = async address => (await fetch(running.address + address)).json();
const everybody = async () => (await ask("api/people?sort=id&limit=1000")).people;

async function step(name, work) {
  process.stdout.write(`${name} … `);
  const begin = Date.now();
  await work();
  console.log(`${((Date.now() - begin) / 1000).toFixed(1)} s`);
}

/** A window of this size; its pages are watched for errors. */
async function open(viewport, colorScheme) {
  const context = await browser.newContext({ viewport, colorScheme, acceptDownloads: true, baseURL: running.address });
  context.setDefaultTimeout(PATIENCE);
  return new Watched(await context.newPage(), pictures, running.address);
}

async function live({ page, shot }) {
  await page.goto("/");
  for (const camera of ["door", "back yard"]) {
    const tile = page.locator(`[data-camera="${camera}"]`);
    await tile.locator('.state:text-is("running")').waitFor();
    await tile.locator(".inview a").first().waitFor();
    await page.waitForFunction(name => document.querySelector(`[data-camera="${name}"] img`).naturalWidth > 0, camera);
  }
  const picture = page.locator('[data-camera="door"] img');
  const first = await picture.getAttribute("src");
  await page.waitForFunction(old => document.querySelector('[data-camera="door"] img').getAttribute("src") !== old, first);
  await page.locator("#events li").nth(3).waitFor();
  await shot("live");
}

async function filter({ page, shot }) {
  await until("five people", async () => (await everybody()).length >= 5);
  await page.getByRole("link", { name: "People", exact: true }).click();
  assert(await page.locator(".card").count() >= 5);
  assert(await page.locator(".timeline rect").count() >= 5, "the time line has bars");
  await shot("people");
  await page.getByLabel("Camera").selectOption("door");
  await page.getByLabel("Sort").selectOption("id");
  await page.getByRole("button", { name: "Show" }).click();
  const texts = await page.locator(".card").allTextContents();
  assert(texts.length > 0 && texts.every(text => text.includes("door")), texts.join("\n"));
  await page.getByLabel("Name or id").fill("P2");
  await page.getByRole("button", { name: "Show" }).click();
  assert.deepEqual(await page.locator(".card h3").allTextContents(), ["P2"]);
  await shot("people-filtered");
}

async function rename({ page, shot }) {
  await page.goto("/people?sort=id");
  await page.locator(".card h3 a").first().click();
  const before = await page.locator("h1").textContent();
  await shot("person");
  await page.getByLabel("Name").fill("Ada");
  await page.getByRole("button", { name: "Rename" }).click();
  assert.equal(await page.locator("h1").textContent(), "Ada");
  await page.getByText("The name was changed.").waitFor();
  await shot("renamed");
  await page.getByRole("button", { name: "Undo" }).click();
  assert.equal(await page.locator("h1").textContent(), before);
}

/** Two who have left; of those in one picture the gallery knows that they are two. */
async function merge({ page, shot }) {
  await until("a merge that can be undone", async () => {
    const gone = (await everybody()).filter(person => !person.active);
    if (gone.length < 2) return false;
    const [from, into] = gone;
    await page.goto(`/people/${from.id}`);
    await page.getByLabel("Is the same person as").fill(`P${into.id}`);
    await page.getByRole("button", { name: "Merge" }).click();
    if (await page.locator(".done").count() === 0) return false;
    await page.getByText(`P${from.id} is P${into.id} now.`).waitFor();
    await shot("merged");
    await page.getByRole("button", { name: "Undo" }).click();
    if (await page.locator(".done").count() === 0) return false;
    await page.getByText(`was split from P${into.id}.`).waitFor();
    return true;
  });
}

async function forget({ page, shot }) {
  const person = await until("somebody who has left", async () => (await everybody()).findLast(person => !person.active));
  await page.goto(`/people/${person.id}`);
  await page.getByRole("link", { name: /^Forget/ }).click();
  await page.getByText("cannot be undone").waitFor();
  await shot("forget");
  await page.getByRole("link", { name: "Keep" }).click();
  assert((await everybody()).some(other => other.id === person.id), "asking forgets nobody");
  await page.getByRole("link", { name: /^Forget/ }).click();
  await page.getByRole("button", { name: /^Forget/ }).click();
  await page.getByText(`P${person.id} is forgotten.`).waitFor();
  assert(!(await everybody()).some(other => other.id === person.id));
}

/** Somebody of whom a picture is kept, and the picture. */
async function crop() {
  return until("somebody's picture", async () => {
    for (const person of await everybody()) {
      const answer = await fetch(`${running.address}api/people/${person.id}/picture`);
      if (answer.ok) return { id: person.id, buffer: Buffer.from(await answer.arrayBuffer()) };
    }
    return null;
  });
}

async function find({ page, shot }) {
  const { id, buffer } = await crop();
  await page.getByRole("link", { name: "Find", exact: true }).click();
  const input = page.getByLabel("Photo");
  await input.setInputFiles({ name: "notes.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no picture") });
  await page.getByRole("button", { name: "Find" }).click();
  await page.locator("#found .error").waitFor();
  assert.match(await page.locator("#found .error").textContent(), /^The picture cannot be used: .*\.jpg.*\.$/);
  await input.setInputFiles({ name: "somebody.jpg", mimeType: "image/jpeg", buffer });
  await page.getByRole("button", { name: "Find" }).click();
  const first = page.locator("#found li").first();
  await first.waitFor();
  assert.equal(await first.locator("a").getAttribute("href"), `/people/${id}`);
  assert.match(await first.textContent(), /\d+ %/);
  await shot("found");
  await page.reload();
  const dropped = await page.evaluateHandle(bytes => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
    return data;
  }, [...buffer]);
  await page.dispatchEvent("form.find", "drop", { dataTransfer: dropped });
  await page.locator("#found li").first().waitFor();
}

async function report({ page }) {
  await page.goto("/people");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download as one file" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^people-.*\.html$/);
  const file = path.join(folder, "report.html");
  await download.saveAs(file);
  const text = fs.readFileSync(file, "utf8");
  assert(!/(src|href)="(https?:|\/)/.test(text), "the report refers to something outside");
  for (const [name, viewport, scheme] of [["report", WIDE, "light"], ["report-390-dark", NARROW, "dark"]]) {
    const window = await open(viewport, scheme);
    await window.page.goto(pathToFileURL(file).href);
    assert(await window.page.locator(".card").count() >= 4);
    assert(await window.page.locator(".card img").count() >= 1, "it holds pictures");
    await window.page.locator("summary").first().click();
    await window.shot(name);
    await window.close();
  }
}

async function keyboard({ page, shot }) {
  await page.goto("/");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  const to = async selector => {
    for (let i = 0; i < 80; i++) {
      if (await page.evaluate(s => document.activeElement.matches(s), selector)) {
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.notEqual(outline, "none", `${selector} shows no focus`);
        return;
      }
      await page.keyboard.press("Tab");
    }
    assert.fail(`${selector} cannot be reached by Tab`);
  };
  const enter = async expected => {
    await page.keyboard.press("Enter");
    await page.waitForURL(expected);
  };
  // The oldest id: where people turn out to be one, it stays.
  const { id } = (await everybody())[0];
  const own = `/people/${id}`;
  await to('header a[href="/people"]');
  await enter("**/people");
  await to('input[name="text"]');
  await page.keyboard.type(`P${id}`);
  await enter(`**/people?text=P${id}**`);
  await to(`.card h3 a[href="${own}"]`);
  await enter(`**${own}`);
  const before = await page.locator("h1").textContent();
  await to('input[name="name"]');
  await page.keyboard.press("Control+A");
  await page.keyboard.type("Grace");
  await enter(`**${own}?done=renamed**`);
  assert.equal(await page.locator("h1").textContent(), "Grace");
  await shot("keyboard");
  await to(".done button");
  await page.keyboard.press("Enter");
  await page.waitForFunction(old => document.querySelector("h1").textContent === old, before);
  await to(`a[href="${own}/forget"]`);
  await enter(`**${own}/forget`);
  await to(`a[href="${own}"]`);
  await enter(`**${own}`);
}

/** Every page in another size or colour. */
async function everywhere(name, viewport, scheme) {
  const window = await open(viewport, scheme);
  const { page, shot } = window;
  const { buffer } = await crop();
  const id = (await everybody())[0].id;
  await live({ page, shot: part => shot(`${part}-${name}`) });
  for (const [part, address] of [["people", "/people"], ["person", `/people/${id}`], ["forget", `/people/${id}/forget`],
    ["health", "/health"], ["login", "/login"], ["unknown", "/people/999999"], ["find", "/find"]]) {
    await page.goto(address);
    await shot(`${part}-${name}`);
  }
  await page.getByLabel("Photo").setInputFiles({ name: "somebody.jpg", mimeType: "image/jpeg", buffer });
  await page.getByRole("button", { name: "Find" }).click();
  await page.locator("#found li").first().waitFor();
  await shot(`found-${name}`);
  await window.close();
}

let failed = true;
try {
  const window = await open(WIDE, "light");
  for (const [name, work] of Object.entries({ live, filter, rename, merge, find, report, keyboard, forget })) {
    await step(name, () => work(window));
  }
  await step("health", async () => {
    await window.page.getByRole("link", { name: "Health", exact: true }).click();
    assert.equal(await window.page.locator("tbody tr").count(), 2);
    await window.shot("health");
  });
  await window.close();
  await step("dark", () => everywhere("dark", WIDE, "dark"));
  await step("narrow", () => everywhere("390", NARROW, "light"));
  await step("narrow and dark", () => everywhere("390-dark", NARROW, "dark"));
  failed = false;
} finally {
  await browser.close();
  await running.stop(failed);
  fs.rmSync(folder, { recursive: true });
}
console.log(`every page was walked; screenshots are in ${pictures}`);
