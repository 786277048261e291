export type Draft = Readonly<Record<string, unknown>>;

const key = "espalier:drafts";

function read(): Readonly<Record<string, Draft>> {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "{}");
  } catch {
    return {};
  }
}

/** What was typed into forms and not sent: it stays while one looks elsewhere, logs in anew or reloads, and goes with the tab. */
class Drafts {
  private all = read();

  of(form: string): Draft {
    return this.all[form] ?? {};
  }

  has(form: string): boolean {
    return form in this.all;
  }

  keep(form: string, value: Draft): void {
    this.store({ ...this.all, [form]: value });
  }

  /** It was sent. */
  forget(form: string): void {
    const { [form]: _, ...others } = this.all;
    this.store(others);
  }

  private store(all: Readonly<Record<string, Draft>>): void {
    this.all = all;
    try {
      sessionStorage.setItem(key, JSON.stringify(this.all));
    } catch {
      // Too much for the tab's storage: it stays in memory.
    }
  }
}

export const drafts = new Drafts();
