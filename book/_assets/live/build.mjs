// Makes live.js, a classic script (ES modules do not load from file://), from src/ and ml-matrix.
//   npm install && node build.mjs
// The first line of the result carries the SHA-256 of the sources; a test compares it.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { build } from "esbuild";

const sources = readdirSync("src").sort().map((name) => `src/${name}`);
const sha = createHash("sha256");
for (const path of [...sources, "package.json"]) sha.update(readFileSync(path));

await build({
  entryPoints: ["src/main.js"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "utf8",
  legalComments: "none",
  banner: { js: `/* made by build.mjs from sources ${sha.digest("hex")}; contains ml-matrix 6.15.1, MIT, see LICENSE-ml-matrix */` },
  outfile: "live.js",
});
