/** The script of the process in which the tokenizer library runs. */
import { answerSandbox } from "../sandbox/answer.ts";
import { createLibraryWork } from "./library-work.ts";

answerSandbox(createLibraryWork());
