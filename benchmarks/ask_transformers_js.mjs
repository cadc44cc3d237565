// Owns what transformers.js answers: reads {models, name, dtypes, texts} from standard input, writes
// {dtype: [{label: score}]} to standard output. `interoperability.py` runs it beside its node_modules.
import { readFileSync } from "node:fs";

import { env, pipeline } from "@huggingface/transformers";

const asked = JSON.parse(readFileSync(0, "utf8"));
env.allowRemoteModels = false;
env.useFSCache = false;
env.localModelPath = asked.models;

const answers = {};
for (const dtype of asked.dtypes) {
  const classifier = await pipeline("text-classification", asked.name, { dtype });
  answers[dtype] = [];
  for (const text of asked.texts) {
    const found = await classifier(text, { top_k: null });
    answers[dtype].push(Object.fromEntries(found.map(({ label, score }) => [label, score])));
  }
  await classifier.dispose();
}
console.log(JSON.stringify(answers));
