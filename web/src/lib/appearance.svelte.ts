const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const key = "espalier:theme";

/** How the page looks: as the system says, or as chosen for this tab, whose own storage keeps it. */
class Appearance {
  theme = $state<Theme>("system");

  constructor() {
    this.choose(themes.find((theme) => theme === sessionStorage.getItem(key)) ?? "system");
  }

  choose(theme: Theme): void {
    this.theme = theme;
    if (theme === "system") {
      sessionStorage.removeItem(key);
      delete document.documentElement.dataset["theme"];
    } else {
      sessionStorage.setItem(key, theme);
      document.documentElement.dataset["theme"] = theme;
    }
  }
}

export const appearance = new Appearance();
