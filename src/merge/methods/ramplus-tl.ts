/**
 * RAM+: like RAM, with entries that one model alone moved lengthened by `1 + r min(alpha, shared / unique)`, the
 * model's number of entries that others moved too over those that it moved alone, counted tensor by tensor.
 */
import type { MergeMethod } from "../method.ts";
import { moverMethod } from "../steps/mover-method.ts";

export const ramplusTl: MergeMethod = moverMethod({
  name: "ramplus_tl",
  summary: "as ram, with what one model alone moved lengthened by its overlap with others",
  lengthens: true,
});
