/**
 * Measures contenders in turns, so that whatever else the machine does hits all of them. The first round, which warms up,
 * does not count; each other one goes the other way round than the one before.
 * @returns of each contender, its figures by round
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
