/** The script of a thread that merges tensors. Its news: bytes of the inputs that went into the output since the last. */
import { answerCalls } from "../threads/answer-calls.ts";
import { createTensorWork, type TensorSetup, type TensorWork } from "./tensor-work.ts";

answerCalls(
  (setup: TensorSetup, tell: (bytes: number) => void): TensorWork =>
    createTensorWork(setup, (bytes) => {
      if (bytes > 0) tell(bytes);
    }),
);
