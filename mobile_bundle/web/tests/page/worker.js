import { checkVectors, load } from "./forewarn-web.js";

let classifier;
self.addEventListener("message", async ({ data }) => {
  try {
    if (data.bundle) classifier = await load(data.bundle);
    postMessage(data.vectors ? await checkVectors(classifier, data.vectors) : "ready");
  } catch (error) {
    postMessage(String(error));
  }
});
