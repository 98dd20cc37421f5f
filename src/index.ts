/**
 * Public API: named exports only. Stages are functions of options and a context (engine, reporter, abort signal); what
 * passes between them lies in files, so each can be used alone.
 */
export { alignDistributions } from "./align/align.ts";
export type { AlignedShard } from "./align/shard.ts";
export { readAlignedShard, writeAlignedShard } from "./align/shard-file.ts";
export { STRATEGIES } from "./align/strategies/index.ts";
export type { Conversation, TokenisedConversation, Turn } from "./data/conversation.ts";
export { readConversations, writeConversations } from "./data/read.ts";
export { splitHeldOut } from "./data/split.ts";
export { openConversationTokeniser } from "./data/tokenise.ts";
export { collectDistributions } from "./distributions/collect.ts";
export type { DistributionsShard } from "./distributions/shard.ts";
export { listShards, readDistributionsShard, writeDistributionsShard } from "./distributions/shard-file.ts";
export type { StageContext } from "./engine/context.ts";
export {
  ADAMW,
  type Engine,
  type EngineModel,
  type GenerateOptions,
  type OptimiserOptions,
  type RowBatch,
  type Sequence,
  type StepResult,
  type Trainer,
  type TrainSequence,
  type TrainStep,
  type WeightDtype,
} from "./engine/engine.ts";
export { createOnnxEngine } from "./engine/onnx/index.ts";
export { type ErrorCode, FusechatError } from "./errors.ts";
export type {
  Benchmark,
  BenchmarkRequest,
  BenchmarkResult,
  Comparison,
  Difference,
  Metric,
} from "./evaluate/benchmarks/benchmark.ts";
export { evaluateHeldOut } from "./evaluate/benchmarks/held-out.ts";
export { compareHeldOut } from "./evaluate/benchmarks/held-out-comparison.ts";
export type { HeldOutResult } from "./evaluate/benchmarks/held-out-result.ts";
export { BENCHMARKS, benchmark } from "./evaluate/benchmarks/index.ts";
export type { Gate } from "./evaluate/gates/gate.ts";
export { type GateOutcome, judgeGate } from "./evaluate/gates/judge.ts";
export { parseGates } from "./evaluate/gates/parse.ts";
export type { Judge, JudgeOptions } from "./evaluate/judges/judge.ts";
export { openJudge } from "./evaluate/judges/open.ts";
export { openSubject } from "./evaluate/subjects/open.ts";
export type { Subject, SubjectReference } from "./evaluate/subjects/subject.ts";
export { readSafetensors, readSafetensorsHeader, writeSafetensors } from "./formats/safetensors.ts";
export { openWeights } from "./formats/weights.ts";
export { FUSION_FUNCTIONS } from "./fuse/functions/index.ts";
export { fuseTarget } from "./fuse/fuse.ts";
export { mergeModels } from "./merge/merge.ts";
export { METHODS } from "./merge/methods/index.ts";
export { readMergeConfig } from "./merge/read-config.ts";
export { ARCHITECTURES, openModel } from "./models/index.ts";
export { loadRecipe } from "./recipe/load.ts";
export { parseRecipe } from "./recipe/parse.ts";
export { renderReport } from "./report/index.ts";
export { type Reporter, type ReporterEvent, silent } from "./reporter.ts";
export { runRecipe } from "./run/run-recipe.ts";
export { loadTokenizer } from "./tokenizer/load.ts";
export type { Encoding, Tokenizer } from "./tokenizer/tokenizer.ts";
