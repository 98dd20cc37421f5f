/** Ties between pivot tokens are broken alike by every strategy: the longest common byte prefix, then the lowest id. */

/** How many first bytes of `a` and of `text[begin .. end-1]` are equal. */
export function commonPrefixLength(a: Uint8Array, text: Uint8Array, begin = 0, end: number = text.length): number {
  const most = Math.min(a.length, end - begin);
  let length = 0;
  while (length < most && a[length] === text[begin + length]) length++;
  return length;
}

/** True where a candidate with this prefix and id beats the best of those that are as good otherwise. */
export function winsTie(prefix: number, id: number, bestPrefix: number, bestId: number): boolean {
  return prefix > bestPrefix || (prefix === bestPrefix && id < bestId);
}
