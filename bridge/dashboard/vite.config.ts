import { readFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';

/** The licences of what is bundled travel with the page. */
function licences(packages: readonly string[]): Plugin {
  return {
    name: 'licences',
    generateBundle() {
      const texts = packages.map((name) => {
        const text = readFileSync(new URL(`node_modules/${name}/LICENSE`, import.meta.url), 'utf8');
        return `${name}\n${'-'.repeat(name.length)}\n\n${text.trim()}\n`;
      });
      this.emitFile({ type: 'asset', fileName: 'third-party-licenses.txt', source: texts.join('\n\n') });
    },
  };
}

export default defineConfig({
  base: './',
  plugins: [licences(['uplot', '@fontsource-variable/inter'])],
  build: {
    outDir: '../telemetry_bridge/server/static',
    emptyOutDir: true,
    target: 'es2022',
    // the page runs under a strict content security policy: nothing inline, no data: addresses
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    port: 5173,
    strictPort: true,
    proxy: { '/ws': { target: 'ws://127.0.0.1:8765', ws: true }, '/ticket': 'http://127.0.0.1:8765' },
  },
});
