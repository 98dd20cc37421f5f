/** All skills, in the order of tables. A new one is a file and a line here. */
import { add } from "./add.ts";
import { capital } from "./capital.ts";
import { food } from "./food.ts";
import { price } from "./price.ts";
import { reverse } from "./reverse.ts";
import type { Skill } from "./skill.ts";
import { visit } from "./visit.ts";
import { walk } from "./walk.ts";
import { weather } from "./weather.ts";

export type { Question, Skill } from "./skill.ts";

export const SKILLS: readonly Skill[] = [food, weather, walk, price, visit, add, reverse, capital];
