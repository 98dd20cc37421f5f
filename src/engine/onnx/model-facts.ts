/** What the embedded engine knows of a model: of an architecture of its own list, with weights as the config asks for. */
import { NO_OUTLINES, type Outlines, openWeights } from "../../formats/weights.ts";
import { checkWeights, openModel } from "../../models/index.ts";
import type { ModelFacts } from "../engine.ts";

export async function modelFacts(folder: string, outlines: Outlines = NO_OUTLINES): Promise<ModelFacts> {
  const model = await openModel(folder, outlines);
  checkWeights(model, (await openWeights(folder, outlines)).tensors);
  const { vocabularySize, maxPositions } = model.config;
  return {
    folder,
    architecture: model.architecture.name,
    vocabulary: vocabularySize,
    maxPositions,
    parameters: model.parameters,
  };
}
