/**
 * Measures contenders in turn, so that other work on the machine affects all of them. The first round is a warm-up and doesn't
 * count. Each round is in the reverse order of the one before.
 * @returns the figures of each contender, by round
 */
export async function inTurns<Name extends string, Figure>(
  rounds: number,
  contenders: Readonly<Record<Name, (round: number) => Promise<Figure> | Figure>>,
): Promise<Record<Name, Figure[]>> {
  const names = Object.keys(contenders) as Name[]
  const figures = Object.fromEntries(names.map(name => [name, [] as Figure[]])) as Record<Name, Figure[]>
  for (let round = 0; round <= rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const figure = await contenders[name](round)
      if (round > 0) figures[name].push(figure)
    }
  }
  return figures
}
