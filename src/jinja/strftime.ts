/**
 * Python's `strftime` for one day at noon, English names: what `strftime_now` of chat templates tells. The day comes from
 * the settings and not from the clock, so that a prompt is the same whenever and wherever it is made.
 */

const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const DAY_MS = 86_400_000;

/** `date` is YYYY-MM-DD. Throws for a directive that Python's C library would give a meaning of its own. */
export function strftime(date: string, format: unknown): string {
  if (typeof format !== "string") throw new Error("strftime_now expects a format");
  const day = new Date(`${date}T12:00:00Z`);
  return format.replace(/%(-?)([\s\S])/g, (directive, unpadded: string, letter: string) => {
    const text = directiveOf(day, letter);
    if (text === undefined) throw new Error(`strftime_now: the directive ${directive} is not known`);
    return unpadded === "" ? text : text.replace(/^[0 ]+(?=.)/, "");
  });
}

function directiveOf(day: Date, letter: string): string | undefined {
  const two = (value: number): string => String(value).padStart(2, "0");
  const year = day.getUTCFullYear();
  const month = day.getUTCMonth();
  const inMonth = day.getUTCDate();
  const weekday = day.getUTCDay();
  const inYear = Math.round((day.getTime() - Date.UTC(year, 0, 1, 12)) / DAY_MS);
  switch (letter) {
    case "Y":
      return String(year);
    case "y":
      return two(year % 100);
    case "m":
      return two(month + 1);
    case "B":
      return MONTHS[month];
    case "b":
    case "h":
      return MONTHS[month]!.slice(0, 3);
    case "d":
      return two(inMonth);
    case "e":
      return String(inMonth).padStart(2, " ");
    case "j":
      return String(inYear + 1).padStart(3, "0");
    case "A":
      return DAYS[weekday];
    case "a":
      return DAYS[weekday]!.slice(0, 3);
    case "w":
      return String(weekday);
    case "u":
      return String(weekday === 0 ? 7 : weekday);
    case "U":
      return two(Math.floor((inYear + 7 - weekday) / 7));
    case "W":
      return two(Math.floor((inYear + 7 - ((weekday + 6) % 7)) / 7));
    case "H":
    case "I":
      return "12";
    case "M":
    case "S":
      return "00";
    case "f":
      return "000000";
    case "p":
      return "PM";
    case "F":
      return `${year}-${two(month + 1)}-${two(inMonth)}`;
    case "D":
    case "x":
      return `${two(month + 1)}/${two(inMonth)}/${two(year % 100)}`;
    case "T":
    case "X":
      return "12:00:00";
    case "R":
      return "12:00";
    case "c":
      return `${DAYS[weekday]!.slice(0, 3)} ${MONTHS[month]!.slice(0, 3)} ${String(inMonth).padStart(2, " ")} 12:00:00 ${year}`;
    case "z":
    case "Z":
      return "";
    case "%":
      return "%";
    default:
      return undefined;
  }
}
