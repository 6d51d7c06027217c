// A page of the browser that is watched: errors of its script, failed requests, what axe-core finds, what is wider than the window.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Answers that a walk asks for: pictures that are not kept, a bad photo, somebody unknown. */
const EXPECTED = [/\/api\/people\/\d+\/picture$/, /\/api\/cameras\/.*\/picture/, /\/find$/, /\/people\/999999$/, /\/people\/\d+\/(merge|split)$/];

export class Watched {
  constructor(page, folder, origin) {
    this.page = page;
    this.folder = folder;
    this.faults = [];
    this.shot = this.shot.bind(this);
    page.on("pageerror", error => this.faults.push(String(error)));
    page.on("request", request => {
      const address = request.url();
      if (!["file:", "data:", "blob:"].includes(new URL(address).protocol) && !address.startsWith(origin)) {
        this.faults.push(`asks for ${address}`);
      }
    });
    page.on("response", answer => {
      if (answer.status() >= 400 && !EXPECTED.some(known => known.test(answer.url()))) {
        this.faults.push(`${answer.status()} ${answer.url()}`);
      }
    });
    page.on("console", message => {
      const from = message.location().url || "";
      if (message.type() === "error" && !EXPECTED.some(known => known.test(from))) this.faults.push(`${message.text()} (${from})`);
    });
  }

  /** Takes a screenshot of all of the page and checks it. */
  async shot(name) {
    const { page } = this;
    await page.screenshot({ path: path.join(this.folder, `${name}.png`), fullPage: true });
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert(wider <= 0, `${name}: ${wider} px wider than the window`);
    if (!await page.evaluate(() => "axe" in window)) await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => window.axe.run());
    const serious = violations.filter(fault => ["serious", "critical"].includes(fault.impact));
    const told = serious.map(fault => `${fault.impact} ${fault.id}: ${fault.help}\n  ${fault.nodes.map(node => node.html).join("\n  ")}`);
    assert.deepEqual(told, [], name);
    for (const fault of violations.filter(fault => !serious.includes(fault))) console.log(`\n  ${name}: ${fault.impact} ${fault.id}`);
    assert.deepEqual(this.faults, [], name);
  }

  async close() {
    await this.page.context().close();
    assert.deepEqual(this.faults, []);
  }
}
