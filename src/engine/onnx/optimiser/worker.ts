/** The script of a thread that updates a share of the weights. */
import { answerCalls } from "../../../threads/answer-calls.ts";
import { buffersOf, createOptimiserWork } from "./work.ts";

answerCalls(createOptimiserWork, { update: buffersOf });
