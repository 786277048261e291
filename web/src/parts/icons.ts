/** Outlines of 24 by 24, drawn with a line of 2. */
export const icons = {
  tree: "M12 21V4M12 17H6a2 2 0 0 1-2-2v-2M12 17h6a2 2 0 0 0 2-2v-2M12 10H9a2 2 0 0 1-2-2V6M12 10h3a2 2 0 0 0 2-2V6",
  activity: "M3 12h4l3-8 4 16 3-8h4",
  grid: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
  compare: "M4 5h6v14H4zM14 5h6v14h-6z",
  scatter: "M4 4v16h16M8 15h.01M11 10h.01M15 12h.01M18 7h.01",
  chat: "M4 5h16v11H9l-5 4z",
  plus: "M12 5v14M5 12h14",
  database: "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3zM4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
  queue: "M4 6h16M4 12h16M4 18h10",
  gear: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 2v4M12 18v4M4.9 4.9l2.9 2.9M16.2 16.2l2.9 2.9M2 12h4M18 12h4M4.9 19.1l2.9-2.9M16.2 7.8l2.9-2.9",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4 12H2M22 12h-2M5 5l1.4 1.4M17.6 17.6L19 19M19 5l-1.4 1.4M6.4 17.6L5 19",
  moon: "M20 14.5A8 8 0 1 1 9.5 4a6.5 6.5 0 0 0 10.5 10.5z",
  code: "M8 7l-5 5 5 5M16 7l5 5-5 5",
  down: "M12 4v11M7 11l5 5 5-5M5 20h14",
  right: "M9 6l6 6-6 6",
  left: "M15 6l-6 6 6 6",
  check: "M5 12l5 5 9-10",
  alert: "M12 3l9 17H3zM12 10v4M12 17h.01",
} as const;

export type IconName = keyof typeof icons;
