// PostGraphile on the schema `peer`, with the settings of a production server.

import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const [port, connectionString] = process.argv.slice(2);

const server = createServer();
const api = postgraphile({
  extends: [PostGraphileAmberPreset],
  // Prepared statements are on by default; as many connections as the gateway has.
  pgServices: [makePgService({ connectionString, schemas: ["peer"], poolConfig: { max: 10 } })],
  grafserv: { graphiql: false, watch: false, websockets: false },
  grafast: { explain: false },
  // Lists that nobody pages through may be plain ones, which cost less than connections.
  schema: { defaultBehavior: "+list" },
}).createServ(grafserv);
await api.addTo(server);
server.listen(Number(port), "127.0.0.1");
