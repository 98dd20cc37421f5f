/**
 * Public API: named exports only, and every type that their signatures name. Stages are functions of options and a
 * context (engine, reporter, abort signal); what passes between them lies in files, so each can be used alone.
 */
export { type AlignOptions, alignDistributions } from "./align/align.ts";
export type { AlignmentSummary } from "./align/report.ts";
export type { AlignedShard } from "./align/shard.ts";
export { readAlignedShard, writeAlignedShard } from "./align/shard-file.ts";
export { STRATEGIES } from "./align/strategies/index.ts";
export type { VocabularyStrategy } from "./align/strategies/strategy.ts";
export type { Conversation, TokenisedConversation, Turn } from "./data/conversation.ts";
export type { IrregularRule, LeftOut } from "./data/irregular.ts";
export { type ReadConversations, readConversations, writeConversations } from "./data/read.ts";
export { splitHeldOut } from "./data/split.ts";
export { type ConversationTokeniser, openConversationTokeniser, type TokeniseOptions } from "./data/tokenise.ts";
export { type CollectOptions, collectDistributions, type DistributionsSummary } from "./distributions/collect.ts";
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
export { createOnnxEngine, type OnnxEngineOptions } from "./engine/onnx/index.ts";
export { type ErrorCode, FusechatError } from "./errors.ts";
export type {
  Benchmark,
  BenchmarkRequest,
  BenchmarkResult,
  Comparison,
  Difference,
  Metric,
} from "./evaluate/benchmarks/benchmark.ts";
export { evaluateHeldOut, type HeldOutOptions } from "./evaluate/benchmarks/held-out.ts";
export { compareHeldOut } from "./evaluate/benchmarks/held-out-comparison.ts";
export type { HeldOutResult } from "./evaluate/benchmarks/held-out-result.ts";
export { BENCHMARKS, benchmark } from "./evaluate/benchmarks/index.ts";
export type { Gate, GateProblem, GateVocabulary } from "./evaluate/gates/gate.ts";
export { type GateFigures, type GateOutcome, judgeGate } from "./evaluate/gates/judge.ts";
export { parseGates } from "./evaluate/gates/parse.ts";
export type { Judge, JudgeOptions } from "./evaluate/judges/judge.ts";
export { openJudge } from "./evaluate/judges/open.ts";
export { openSubject } from "./evaluate/subjects/open.ts";
export type { Subject, SubjectReference } from "./evaluate/subjects/subject.ts";
export {
  readSafetensors,
  readSafetensorsHeader,
  type Tensor,
  type TensorMemory,
  writeSafetensors,
} from "./formats/safetensors.ts";
export type { SafetensorsHeader } from "./formats/safetensors-header.ts";
export { type Outlines, openWeights, type Weights } from "./formats/weights.ts";
export type { FusionFunction } from "./fuse/functions/function.ts";
export { FUSION_FUNCTIONS } from "./fuse/functions/index.ts";
export { type FuseSummary, fuseTarget } from "./fuse/fuse.ts";
export {
  FUSION_DEFAULTS,
  type FuseOptions,
  type FusionSettings,
  TRAINING_DEFAULTS,
  type TrainingSettings,
} from "./fuse/options.ts";
export { type ExtractOptions, type ExtractSummary, extractAdapter } from "./merge/adapters/extract.ts";
export type { MergeConfig } from "./merge/config.ts";
export type { ExecuteContext as MergeContext } from "./merge/execute.ts";
export { type MergeOptions, type MergeSummary, mergeModels } from "./merge/merge.ts";
export type { MergeMethod } from "./merge/method.ts";
export { METHODS } from "./merge/methods/index.ts";
export {
  checkMergeConfig,
  type NamedMerge,
  type ReadOptions as MergeReadOptions,
  readMergeConfig,
  readMergeConfigs,
} from "./merge/read-config.ts";
export { mergeSequence } from "./merge/sequence.ts";
export { type Hub, type HubOptions, type HubOutline, openHub } from "./models/hub.ts";
export { ARCHITECTURES, type Architecture, type Model, openModel } from "./models/index.ts";
export type { HubFolder } from "./models/reference.ts";
export { checkRecipe, type LoadedRecipe, loadRecipe } from "./recipe/load.ts";
export { type ParsedRecipe, parseRecipe } from "./recipe/parse.ts";
export type { Recipe } from "./recipe/recipe.ts";
export { renderReport } from "./report/index.ts";
export { type Reporter, type ReporterEvent, silent } from "./reporter.ts";
export { type RunContext, type RunRecipeOptions, type RunSummary, runRecipe } from "./run/run-recipe.ts";
export { loadTokenizer } from "./tokenizer/load.ts";
export type { Encoding, Tokenizer } from "./tokenizer/tokenizer.ts";
