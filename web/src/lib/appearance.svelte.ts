export type Theme = "system" | "light" | "dark";

/** How the page looks: as the system says, or as chosen for this tab. */
class Appearance {
  theme = $state<Theme>("system");

  choose(theme: Theme): void {
    this.theme = theme;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }
}

export const appearance = new Appearance();
