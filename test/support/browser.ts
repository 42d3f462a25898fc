import { type Browser as Chromium, chromium, type Page } from 'playwright-core';
import type { Ends } from './mirror.ts';
import { tempDir } from './temp.ts';

/** The programs that a browser needs. */
export const browserPrograms = ['chromium'];

const words = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What a window is like. */
export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: 'light' | 'dark';
}

/** A window of a browser, and what it did that it must not do. */
export interface Window {
  readonly page: Page;
  /** URLs that were asked for. */
  readonly asked: readonly string[];
  /** Errors and warnings of the page. */
  readonly complaints: readonly string[];
}

/** A real browser, without a screen; it is closed when the test ends. */
export class Browser {
  readonly #chromium: Chromium;

  private constructor(chromium: Chromium) {
    this.#chromium = chromium;
  }

  static async start(test: Ends): Promise<Browser> {
    const env = { PATH: process.env['PATH'] ?? '', HOME: tempDir(), TMPDIR: tempDir() };
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: words, env });
    test.after(() => browser.close());
    return new Browser(browser);
  }

  /** A window of its own, on this page. */
  async open(url: string, { width = 1280, height = 900, scheme = 'light' }: Look = {}): Promise<Window> {
    const context = await this.#chromium.newContext({ viewport: { width, height }, colorScheme: scheme });
    const page = await context.newPage();
    const asked: string[] = [];
    const complaints: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    await page.goto(url);
    return { page, asked, complaints };
  }
}
