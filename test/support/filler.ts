import { type GraphQLInputType, isEnumType, isInputObjectType, isListType, isNonNullType, isRequiredInputField } from "graphql";

/** Something that an input type takes, with no more in it than it must have. */
export function filler(type: GraphQLInputType): unknown {
  if (isNonNullType(type)) return filler(type.ofType);
  if (isListType(type)) return [filler(type.ofType)];
  if (isEnumType(type)) return type.getValues()[0]?.name;
  if (isInputObjectType(type) && type.isOneOf) {
    const [first] = Object.values(type.getFields());
    return first && { [first.name]: filler(first.type) };
  }
  if (isInputObjectType(type))
    return Object.fromEntries(
      Object.values(type.getFields())
        .filter(isRequiredInputField)
        .map((field) => [field.name, filler(field.type)]),
    );
  return { Boolean: true, Int: 1, BigInt: 1, Float: 0.5, DateTime: "2999-01-01T00:00:00Z" }[String(type)] ?? "x";
}
