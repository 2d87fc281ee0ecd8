// Reads lists and watches with Node's HTTP client, whose parser is strict, and says what it saw.
//
// node client.mjs URL [CA]

import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createGunzip } from "node:zlib";

const [base, ca] = process.argv.slice(2);
const isTls = base.startsWith("https");
const agent = new (isTls ? https : http).Agent({ keepAlive: true, maxSockets: 1, ...(ca && { ca: readFileSync(ca) }) });
const LIST = "/api/v1/namespaces/demo/services";
const WATCH = `${LIST}?watch=1&timeoutSeconds=3&resourceVersion=0`;

// Asks, gives the body to `take` while it comes, and returns the status.
function read(path, encoding, take) {
  return new Promise((resolve, reject) => {
    const options = { agent, insecureHTTPParser: false, headers: { "Accept-Encoding": encoding } };
    const request = (isTls ? https : http).get(base + path, options, (response) => {
      const framing = ["content-length", "transfer-encoding"].filter((it) => it in response.headers);
      if (framing.length !== 1) return reject(new Error(`framing: ${framing}`));
      const isGzip = response.headers["content-encoding"] === "gzip";
      const body = isGzip ? response.pipe(createGunzip()) : response;
      response.on("error", reject);
      body.on("error", reject).on("data", take).on("end", () => resolve(response.statusCode));
    });
    request.on("error", reject);
  });
}

for (const encoding of ["identity", "gzip"]) {
  const parts = [];
  await read(LIST, encoding, (part) => parts.push(part));
  console.log("list", encoding, JSON.parse(Buffer.concat(parts)).items.length);

  const watched = [];
  const times = [];
  await read(WATCH, encoding, (part) => (watched.push(part), times.push(performance.now())));
  const lines = Buffer.concat(watched).toString().split("\n");
  if (lines.pop() !== "") throw new Error("the watch ends within a line");
  const added = lines.filter((line) => JSON.parse(line).type === "ADDED").length;
  console.log("watch", encoding, added, 1000 < times.at(-1) - times[0] ? "live" : "at once");

  console.log("missing", encoding, await read(`${LIST}/missing`, encoding, () => {}));
}
agent.destroy();
