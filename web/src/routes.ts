import type { Component } from "svelte";
import type { Role } from "./api/session.svelte.ts";
import type { IconName } from "./parts/icons.ts";

/** What a view is given: the parts of its address that its pattern names. */
export interface ViewProps {
  readonly parameters: Readonly<Record<string, string>>;
}

interface Route {
  /** `/models/:id` */
  readonly pattern: string;
  /** Of the window, until the view says a better one. */
  readonly title: string;
  /** Loaded when it is first gone to. It takes `ViewProps`, or nothing. */
  readonly view: () => Promise<{ readonly default: Component<never> }>;
  /** Where it stands in the menu, if it does. */
  readonly menu?: { readonly label: string; readonly icon: IconName };
  /** Offered, and shown, to those who may at least do this; READ if unsaid. */
  readonly needs?: Role;
}

/** Every view of the dashboard. The menu has those that say so, in this order. */
export const routes: readonly Route[] = [
  { pattern: "/", title: "Family", view: () => import("./views/Family.svelte"), menu: { label: "Family", icon: "tree" } },
  { pattern: "/runs", title: "Runs", view: () => import("./views/Runs.svelte"), menu: { label: "Runs", icon: "activity" } },
  { pattern: "/runs/:id", title: "Run", view: () => import("./views/Run.svelte") },
  { pattern: "/models/:id", title: "Model", view: () => import("./views/Model.svelte") },
  {
    pattern: "/compare",
    title: "Compare",
    view: () => import("./views/Compare.svelte"),
    menu: { label: "Compare", icon: "compare" },
  },
  {
    pattern: "/tradeoff",
    title: "Trade-off",
    view: () => import("./views/TradeOff.svelte"),
    menu: { label: "Trade-off", icon: "scatter" },
  },
  {
    pattern: "/structures",
    title: "Structures",
    view: () => import("./views/Structures.svelte"),
    menu: { label: "Structures", icon: "grid" },
  },
  {
    pattern: "/start",
    title: "Start",
    view: () => import("./views/Start.svelte"),
    menu: { label: "Start", icon: "plus" },
    needs: "GENERATE",
  },
  { pattern: "/datasets", title: "Datasets", view: () => import("./views/Datasets.svelte"), menu: { label: "Datasets", icon: "database" } },
  { pattern: "/datasets/:id", title: "Dataset", view: () => import("./views/Dataset.svelte") },
  { pattern: "/queue", title: "Workers and queue", view: () => import("./views/Queue.svelte"), menu: { label: "Queue", icon: "queue" } },
  {
    pattern: "/playground",
    title: "Playground",
    view: () => import("./views/Playground.svelte"),
    menu: { label: "Playground", icon: "chat" },
    needs: "GENERATE",
  },
  { pattern: "/settings", title: "Settings", view: () => import("./views/Settings.svelte"), menu: { label: "Settings", icon: "gear" } },
];
