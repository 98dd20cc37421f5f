/** The script of a thread that reads tokenizer files. */
import { answerCalls } from "../threads/answer-calls.ts";
import { createTokenWork } from "./token-work.ts";

answerCalls(createTokenWork);
