import { systemClock } from '../async/clock.ts';
import { loadConfig } from '../config/load.ts';
import { examineDisk } from './doctor/disk.ts';
import { examineFiles } from './doctor/files.ts';
import type { Finding } from './doctor/finding.ts';
import { examinePorts } from './doctor/ports.ts';
import { examineUpstreams } from './doctor/upstreams.ts';
import { doctorImage } from './doctor-image.ts';
import { readWords, UsageError } from './usage.ts';

const help = `Usage: weir doctor [--config FILE] [--json]
       weir doctor image IMAGE [--platform OS/ARCH] [--mirror URL] [--config FILE] [--json]

Says what is wrong, or would go wrong, with a remedy: files that the configuration names, upstreams and their
credentials, the disk, the ports. With \`image\`: which layers can outlast a node's watchdog, and on which nodes.

Examples:
  weir doctor --config /etc/weir.yaml
  weir doctor image quay.io/team/app:v1
  weir doctor image nginx --platform linux/arm64 --json
`;

/**
 * `weir doctor`: one line for each check, and 1 when something is wrong.
 * @throws ConfigError, UsageError; Error when `doctor image` cannot read the image
 */
export async function doctor(words: readonly string[]): Promise<number> {
  const { values, positionals } = readWords(
    {
      allowPositionals: true,
      options: {
        config: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
        platform: { type: 'string' },
        mirror: { type: 'string' },
      },
    },
    words,
  );
  if (values.help) return print(help, 0);
  const settings = loadConfig({ file: values.config });
  const [what, image, ...rest] = positionals;
  if (what === 'image' && image !== undefined && rest.length === 0) return doctorImage(image, settings, values);
  if (what !== undefined) throw new UsageError('doctor is called alone, or as: doctor image IMAGE');
  const findings = [
    ...examineFiles(settings, systemClock),
    ...(await examineDisk(settings, systemClock)),
    ...(await examinePorts(settings)),
    ...(await examineUpstreams(settings, systemClock)),
  ];
  const ok = findings.every((finding) => finding.ok);
  const text = values.json ? `${JSON.stringify({ ok, findings }, undefined, 2)}\n` : findings.map(lineOf).join('');
  return print(text, ok ? 0 : 1);
}

function lineOf({ check, ok, found, remedy }: Finding): string {
  return `${ok ? 'ok   ' : 'WRONG'}  ${check}: ${found}${remedy === undefined ? '' : `; ${remedy}`}\n`;
}

function print(text: string, code: number): number {
  process.stdout.write(text);
  return code;
}
