/** The script of the process in which foreign containers are read. */
import { answerSandbox } from "../../sandbox/answer.ts";
import { createContainerWork } from "./container-work.ts";

answerSandbox(createContainerWork());
