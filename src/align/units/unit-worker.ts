/** The script of a thread that works on units. */
import { answerCalls } from "../../threads/answer-calls.ts";
import { createUnitWork } from "./unit-work.ts";

answerCalls(createUnitWork);
