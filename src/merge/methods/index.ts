/** All merge methods, in the order of help and documentation: one file each, one line here. */
import type { MergeMethod } from "../method.ts";
import { linear } from "./linear.ts";
import { sce } from "./sce.ts";

export const METHODS: readonly MergeMethod[] = [sce, linear];
