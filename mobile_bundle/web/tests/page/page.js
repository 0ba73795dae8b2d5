// The client as a page without a bundler uses it; the test calls it through `window.forewarn`.
import * as forewarn from "./forewarn-web.js";

window.forewarn = forewarn;

// The same in a worker: the first message loads the bundle, later ones are texts or golden vectors.
const worker = new Worker("./worker.js", { type: "module" });
window.ask = (message) =>
  new Promise((resolve) => {
    worker.addEventListener("message", ({ data }) => resolve(data), { once: true });
    worker.postMessage(message);
  });
