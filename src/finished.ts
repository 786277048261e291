/** The result of a generator whose steps nobody counts. */
export async function finished<T>(steps: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const step = await steps.next();
    if (step.done) return step.value;
  }
}

/** The same result, by steps that are told in another way. */
export async function* told<Step, Told, Result>(
  steps: AsyncGenerator<Step, Result>,
  tell: (step: Step) => Told | Promise<Told>,
): AsyncGenerator<Told, Result> {
  for (let step = await steps.next(); ; step = await steps.next()) {
    if (step.done) return step.value;
    yield await tell(step.value);
  }
}
