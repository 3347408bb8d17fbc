// Calls of dicomweb-client (npm): the order comes as JSON on stdin, the results go as one JSON line to stdout.
'use strict';
const fs = require('fs');
globalThis.XMLHttpRequest = require('xhr2'); // what a browser has; its TLS is Node's, with NODE_EXTRA_CA_CERTS
const { api } = require('dicomweb-client');

const order = JSON.parse(fs.readFileSync(0, 'utf8'));
const client = new api.DICOMwebClient({
  url: order.url,
  singlepart: order.singlepart,
  verbose: false,
  headers: order.token ? { Authorization: `Bearer ${order.token}` } : {},
});

// Bytes as {base64}, so that JSON can hold them.
function plain(value) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = value instanceof ArrayBuffer ? Buffer.from(value) : Buffer.from(value.buffer);
    return { base64: bytes.toString('base64') };
  }
  return Array.isArray(value) ? value.map(plain) : value;
}

function file(path) {
  const bytes = fs.readFileSync(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
}

async function one([method, options]) {
  const given = options.files ? { ...options, datasets: options.files.map(file) } : options;
  try {
    return { value: plain(await client[method](given)) };
  } catch (error) {
    return { status: error.status ?? null, error: String(error.message ?? error) };
  }
}

(async () => {
  const results = [];
  for (const call of order.calls) results.push(await one(call));
  process.stdout.write(`${JSON.stringify(results)}\n`);
})();
