// GraphQL looks for mistakes of its user's programs with every value that it coerces unless it finds this set when it is loaded. That takes
// a third of the time of a large request, on the thread that everybody waits for. Hence imported first.
process.env["NODE_ENV"] ??= "production";
