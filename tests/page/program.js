// `reidctl run` with two test cameras that people walk between, and its page.

import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";

const camera = (name, number) => ({
  name,
  source: { test: { camera: number, cameras: 2, people: 6, seed: 3, pattern: "walk", attach: "detections", width: 640, height: 480, rate: 8 } },
});

/** Starts it; its address when the page is served. */
export async function start(program, folder) {
  const file = path.join(folder, "cameras.json");
  fs.writeFileSync(file, JSON.stringify({
    cameras: [camera("door", 0), camera("back yard", 1)],
    models: { detector: "none", embedder: process.env.EMBEDDER },
    gallery: { location: `sqlite://${path.join(folder, "people.db")}`, thumbnails: true },
  }));
  const child = spawn(program, ["run", "--json", "--interval", "60", "--listen", "127.0.0.1:0", file], { stdio: ["ignore", "pipe", "pipe"] });
  const said = [];
  child.stderr.on("data", data => said.push(String(data)));
  const ended = new Promise(resolve => child.on("exit", code => resolve(code)));
  const lines = readline.createInterface({ input: child.stdout });
  const address = await new Promise((resolve, reject) => {
    lines.on("line", line => {
      said.push(line);
      const note = JSON.parse(line);
      if (note.event === "page") resolve(note.text);
    });
    child.on("exit", code => reject(new Error(`reidctl ended (${code}): ${said.join("\n")}`)));
  });
  const stop = async failed => {
    if (failed) console.error(said.slice(-30).join("\n"));
    child.kill("SIGTERM");
    const code = await ended;
    if (code !== 0) throw new Error(`reidctl ended with ${code}: ${said.slice(-30).join("\n")}`);
  };
  return { address, stop };
}
