/** The script of the process in which foreign templates run. */
import { answerSandbox } from "../sandbox/answer.ts";
import { createTemplateWork } from "./template-work.ts";

answerSandbox(createTemplateWork());
