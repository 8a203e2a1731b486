// How the page is built: `python -m gateway.playground.build` runs this, nobody runs Vite by hand.
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { defineConfig } from 'vite';

const COMPRESSIBLE = /\.(js|css|svg|ttf|json)$/;

/** Writes a `.br` and a `.gz` beside every asset, so that the gateway compresses nothing while it serves. */
function precompress() {
  const brotli = promisify(brotliCompress);
  const gz = promisify(gzip);
  const variants = [
    // 11 would save eight per cent more and take twelve times as long.
    ['.br', (source) => brotli(source, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } })],
    ['.gz', (source) => gz(source, { level: 9 })],
  ];
  return {
    name: 'precompress',
    apply: 'build',
    // Last of all, when no other plugin rewrites a chunk any more.
    generateBundle: {
      order: 'post',
      async handler(_options, bundle) {
        const assets = Object.values(bundle).filter(({ fileName }) => COMPRESSIBLE.test(fileName));
        await Promise.all(
          assets.flatMap((asset) => {
            const source = Buffer.from(asset.type === 'chunk' ? asset.code : asset.source);
            return variants.map(async ([suffix, compress]) => {
              const compressed = await compress(source);
              if (compressed.length < source.length) {
                this.emitFile({ type: 'asset', fileName: asset.fileName + suffix, source: compressed });
              }
            });
          }),
        );
      },
    },
  };
}

export default defineConfig({
  // The list of sixty files is no news.
  logLevel: 'warn',
  // Every address is relative, since the gateway may be mounted below any prefix.
  base: './',
  experimental: {
    // The page is served at …/graphql without a trailing slash and its files at …/graphql/assets/,
    // so the page's own links need the last segment again; files refer to their neighbours.
    renderBuiltUrl: (filename, { hostType }) =>
      hostType === 'html' ? `graphql/${filename}` : { relative: true },
  },
  oxc: { jsx: { runtime: 'automatic' } },
  // Two copies of these in one page would not recognise each other's objects.
  resolve: { dedupe: ['graphql', 'react', 'react-dom', '@graphiql/react'] },
  worker: { format: 'es' },
  plugins: [precompress()],
  build: {
    target: 'es2022',
    // A file below 4 kB would become a data: address, which saves nothing with files cached for ever.
    assetsInlineLimit: 0,
    // The licences of everything that is bundled must travel with it.
    license: { fileName: 'licenses.md' },
    // Monaco is one large chunk whatever one does.
    chunkSizeWarningLimit: 5000,
    reportCompressedSize: false,
    rolldownOptions: {
      onLog(level, log, report) {
        // Libraries mark themselves "use client" for servers that render React: true of this page anyway.
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') {
          report(level, log);
        }
      },
    },
  },
});
