/**
 * AlpacaEval 2.0's 805 instructions in the benchmark's order, as the first 3 bytes of each one's SHA-256 in base64. The
 * difficulty of an instruction is looked up by its place, so annotations in another order give a wrong length-controlled
 * win rate and nobody notices; with these, an order is checked without the instructions themselves. Two instructions
 * are taken for each other once in 16.8 million.
 */
import { createHash } from "node:crypto";

const BYTES = 3;
const CHARACTERS = 4;

const IN_ORDER =
  "8KqcCKIWAMtNaN47MLTO9jiZRQMX1OcERg/X7g/QNnA92rQ5Ew8rpPyYkX+HpoHTpTI6iHu1cM74/OhNxiEUtd5W73sUL7zB9q7vlh89pAq/tQal" +
  "rTiYzW6qsOvrGm6KAl2zgTLBSVaVXWLhPASy4+G+GtAew2LXa/cHrUX/RDD9y0HQBL8UfHVDPZ+b2DQXFloqSEjPOafL879eteOY+QylJert+BdX" +
  "pExSPb3W+gApAIKaeEM1SbGK/+sHmH9mlCAmh15Yxz2BpUvwZctcrxOGdn5uxpY2gV7gWJuropQdjKkd6hxd3WN931Ykc1fAwBDkiunWL+pBKNnM" +
  "wEVl58REL+dTmrIgOAInVDGhtKhI+yVnyezbJe16VobDqzlk4cRA1ws8ubkRsQ2+TdnfrFhmdWqLHSStu4c7PlJaleO30HJ2osusGyikLZf8Ubs0" +
  "14CiZwM8DjAZQXMP24fd+SXoMtmYbMHpqdlhbuLtPz9vaLGJrmNKvPiy0tz25P3WcsTCj52KHPLBMqP13HxVCkSipUgUvXWbyorbptBsZpRzgm18" +
  "Si08DKFKDdJaDUKjIB5dhLJp74JYHjJzz8t4gxHe9lv20zwjJLe0gvbVrkjGCJ1UBBcvojpLYGzeSZNZghZucgP7mQdymJ1Dsxen/on08G62u/Ri" +
  "r5gq6HEYLSQTy17Tn97uIEzAiyTvw2ZpBw7YmPW8JECISJxAzsXgBBQBZCSQJrgVa3qyhQ6uo9Ot3KoNopja+swfzOJtFvvOva91IuTd/NqAhCOq" +
  "DECdDVANh1cVSipEVQ5hYkI3TSTGfbJDA29OgvhLzgpfPSJSBZNXYPbW3cfEhnESfA7maX4dVVYdievfEaO+4KiDKQ1moWtR/poqWFDGGbPoVHmw" +
  "JvElTkYs3LQoZ/IzHFumBpETVsplN8Kds5vxeY7oo+TQlm+DTt9j68XiMR7irL0mSvxSTTpGGV0QNrzW0jX6tasbaw70pGuDnZp9mPZTqVx5qah5" +
  "8UmlhD6YwNn0QFeUQexr6ZO9ZbsvbCi3Cj16SnH9elCVQUBruTWDF0gx+Yb2fOl05MJhfCLZ6e25fC2onMDObEAVQFhJ8/Ga9HqlZ8vMENSKdELb" +
  "pE1QMfKrSsP2HBtUzOUPraPPcBmWKrPZS9i9bafRp+V0A/HxRKqfNOHdGWZ2DaQtS+R59/d3nR+iwMOCmWGbQa59FXYeefw6Cfq6PyCCBB52jDxg" +
  "+XaTWW9l8Oydj0g+2yDVbuOgCc5iAh1vP+8ZlK0h05FqbvUUp0DkPAmmjEL663lKwhCFuzMXJD/t6dKyfr49mUYS55B0v/KSo/r83ePQsAgubx62" +
  "FdlSpO27MlCXqTsnU9RJNkzniUj5+gEob+2jvnq1xKBtF3tv4XwjD4uv6P6GRB0NcLnmXqsU+dUII4MjLhWGCReWnIkE5/l5dxdGauFBKdrso46N" +
  "6deCXSSafIAMXaw7KEQFquGbutnqsD5qH+pYlRD8aSLTu3QOSSlxRErai2hEZUgvupv+0/bkPb3P2+Gwe3C5b+rUcrmHfkkpQP8dKAWBR+1SUOsw" +
  "ZAHmF82Woa/pSQ0dB+pjsAwnjsJslKZO+IO/ckiluJypMY+QSsxlm9riSqlAQsxtZmNQ3gppRfRxlkqxanBJ+k3qnT3+M3CJZ6BEGpd2sk9whTnn" +
  "QD1FXgyy8H3PC3IUFCiKlWmt5SjWplozI8XoALh3tZlXQbEqrnxTAaVvuVzoDsFcQUoy/tfRQ3LzlUFjZJAX8DUosaxxehZhgUAsgEuV6c3jW8tN" +
  "xmJvUMIh+ctvi207+lBmQCHsxLE0WgmRSyiYVLTjg2GRIeDqdvrxmNmn8MxIUbjzMRw4LOGNSi3BaFAv1Mye3w2Bu/ckPhl6L3n8eyzIJXEAvWgk" +
  "ksi+W8jqKqhNwQn9IrVQQSG5FaoMszJO3EkLYIPDL7RhZgNCKP/IYwAn2iZrPnO9MR5PR9Sn0gyYcL+2uSXCEIC9kCOaBTon/zqGdacnCRmkmesl" +
  "BL4nFyxh9SBgdHaRCJXUULTckdJG/1OEH6SYX3amK4jBfQ8Lx89s0mU5TJbfkQ9Y2ei7g2YUuK1uL9++xISs00DWdiZH5J+3sZ0ixt1N7Ag3+l9p" +
  "bQLlqlrZOa0jQUWzkNMTpfWjiR1vL8rpgjOmpulArBrHVoH2ee5pGHtDAm3qL8C10Maylqjioib02kKT/Tk0ClgsmSDqvNkx5ogk00Ai0SKymjU3" +
  "/zCs2mR+DY+8PThnPoQ7zsL5RV1asrxe2IUYlqEifgn5zVCppne5SbBfYWLocsbmNc9/1UrLObHzaYvv15STk5kKfBeph1TAFGiAwlM4H+m03v3h" +
  "d55Mh4c9/xg6A6codBIz7cd1KKODcWCAklzwoRdJA+Y6Oa3BgGBZpzOUAFtPq5isDLAc5CCrPRYTpGtohDID7wF1YM2aRQGmf6PYMPfv2UHI8EJG" +
  "5sZToChl7uw3Lka3efjMa6eFJWgFKPELhaisK/H9vSuqq7uSaCyROiTwjrrBsa54Hnpu8n43kgmkjsTRZlxlLHcUBNwCXrtWScs9g2XaY5gXk586" +
  "t1W/N0Z81CB6njDvi9hnFZYWJpRTNcn1drb+G7b4Enr/bVhFLL9EBPeyxx70cX1CUIB6/Lw2qxXHJyn1xKio+Ywc3n14DOclOT078lCEjafBEyWk" +
  "vuW6yNMO9KxE7Z5PH6zvoWG6HS4OSGB1O3ByOc5hFLsGnIToSliLBcJgS9dAYbLmRuRwrKuDfVr84sEZl3aOW1Qk49rN2jYY9m5hS6IOFvBy8k0c" +
  "fFjrXygXMbehhKrWHmY1hBRmEOoQ0GkZH+C931H/90iSyMnvkgdmWKZTV/JHGgrvzpbyu0bxmCns9y90FDloHB3zs2pm3XSD6qVPVeCtjSNLYqum" +
  "AwKksUa+wOinExGCOY7PEweJtJsez6+uFsfujDBo4zlNwhTCFFZwGzzC7EzLHeDfzsgZt+yDmF0ZnhKd6ts/vxJhgA+m+G8Iawxo5gaV36+Ok/Xg" +
  "2irruGl95AHAkfpOt3ZbmO53Z0fQE7FkJI4GLBLOFvuepTFzpo5O50GEniypE0F194/9ccGCJKlC73xDjQwKJCD/S5xjVK5YYYUfYwtrieWVRd4u" +
  "AFRhbbhmr7s1GUzUR0n0YVZ5pUkLlnLOk0Gi6rEceOAquWe0SCf0JCV/mfsnnV5kJ7xsrgcD6vh3uvS1+JQJ";

/** Place of an instruction among AlpacaEval 2.0's, from 0; undefined where it is none of them. */
export function placeInAlpacaEval(instruction: string): number | undefined {
  return PLACES.get(fingerprint(instruction));
}

function fingerprint(instruction: string): string {
  return createHash("sha256").update(instruction, "utf8").digest().subarray(0, BYTES).toString("base64");
}

const PLACES: ReadonlyMap<string, number> = new Map(
  Array.from({ length: IN_ORDER.length / CHARACTERS }, (_, place) => [
    IN_ORDER.slice(place * CHARACTERS, (place + 1) * CHARACTERS),
    place,
  ]),
);

export const ALPACA_EVAL_INSTRUCTIONS: number = PLACES.size;
