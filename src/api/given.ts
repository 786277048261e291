type Given<Input> = { readonly [Name in keyof Input]?: NonNullable<Input[Name]> };

/** What was given of an input. A client that says null says nothing. */
export const given = <Input extends object>(input: Input): Given<Input> =>
  Object.fromEntries(Object.entries(input).filter(([, value]) => value != null)) as Given<Input>;
