/**
 * Which of equal scores PyTorch's `topk` takes on a processor, for `--like mergekit`: the first `count` entries after
 * the C++ library's nth_element, a quickselect around the median of three. Bfloat16 weights that moved by a unit or two
 * in the last place tie by the hundred at the edge of what TIES keeps, and no rule but this one finds the same.
 */

/** Larger tensors would take long and much memory to repeat a choice that means nothing. */
const MOST_ENTRIES = 1 << 22;
/** Fewer than one in so many entries are found with a heap instead, which is not repeated here. */
const HEAP_SHARE = 64;

export function canRepeatTies(size: number, count: number): boolean {
  return size <= MOST_ENTRIES && count > 0 && count * HEAP_SHARE > size && count < size;
}

/** [size / 32] a bit for each of the `count` entries that are taken; undefined where quickselect gives up. */
export function torchLargest(scores: Float64Array, count: number): Uint32Array | undefined {
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i);
  const swap = (a: number, b: number): void => {
    const score = scores[a]!;
    scores[a] = scores[b]!;
    scores[b] = score;
    const index = order[a]!;
    order[a] = order[b]!;
    order[b] = index;
  };
  const target = count - 1;
  let first = 0;
  let last = scores.length;
  for (let rounds = 2 * Math.floor(Math.log2(scores.length)); last - first > 3; rounds--) {
    if (rounds === 0) return undefined;
    swap(first, median(scores, first + 1, first + Math.floor((last - first) / 2), last - 1));
    const pivot = scores[first]!;
    let low = first + 1;
    let high = last;
    for (;;) {
      while (scores[low]! > pivot) low++;
      high--;
      while (pivot > scores[high]!) high--;
      if (low >= high) break;
      swap(low, high);
      low++;
    }
    if (low <= target) first = low;
    else last = low;
  }
  // What is left is at most three entries: by insertion.
  for (let i = first + 1; i < last; i++) {
    for (let j = i; j > first && scores[j]! > scores[j - 1]!; j--) swap(j, j - 1);
  }
  const bits = new Uint32Array(Math.ceil(scores.length / 32));
  for (const index of order.subarray(0, count)) bits[index >>> 5]! |= 1 << (index & 31);
  return bits;
}

/** Which of three places has the score in the middle; of equal ones as the library decides. */
function median(scores: Float64Array, a: number, b: number, c: number): number {
  const [x, y, z] = [scores[a]!, scores[b]!, scores[c]!];
  if (x > y) return y > z ? b : x > z ? c : a;
  return x > z ? a : y > z ? c : b;
}
